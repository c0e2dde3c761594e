"""The thinnest path through everything."""

from openai import OpenAI

from tests.e2e.harness import Gateway


def test_a_call_is_charged_at_the_vendors_usage(demo: Gateway) -> None:
    """One chat call: the text arrives, the usage is charged to the nano, nothing stays held."""
    customer = demo.customer(usd="1")
    client = OpenAI(base_url=f"{demo.url}/v1", api_key=customer.key)

    answer = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hello you"}])

    assert answer.choices[0].message.content == "w0 w1 w2 w3 w4"
    (record,) = demo.settled(customer, records=1)
    assert record["state"] == "REPORTED"
    assert record["charged_nano"] == 2 * 250 + 5 * 2000
