"""Usage records for tests that only care about money: one nano per input token."""

import msgspec

from extproc.core.ledger import Account, State
from extproc.core.pricing import ONE, Rates, Usage
from extproc.core.record import UsageRecord

NANO_A_TOKEN = Rates(1_000_000, 0, 0, 0, 0)


def record(
    hold_id: str, owner: str, accounts: tuple[Account, ...], state: State, cost_nano: int, hold_nano: int | None = None
) -> str:
    """The JSON of a record with this cost, which its usage amounts to; `hold_nano` is as much unless given."""
    return msgspec.json.encode(
        UsageRecord(
            request_id=hold_id,
            time_ms=0,
            owner=owner,
            key_id="key",
            key_prefix="sk-abcdefg",
            accounts=accounts,
            group="main",
            model="gpt",
            vendor_model="gpt-a",
            channel="a",
            operation="openai.chat",
            stream=False,
            status=200,
            attempts=1,
            usage=Usage(cost_nano),
            usage_source=state.name.lower(),
            cost_nano=cost_nano,
            hold_nano=cost_nano if hold_nano is None else hold_nano,
            rates=NANO_A_TOKEN,
            multiplier_ppm=ONE,
            revision="rev1",
            reporter="test",
            first_byte_ms=None,
            duration_ms=None,
        )
    ).decode()
