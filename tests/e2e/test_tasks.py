"""Videos through the official SDK: what is charged and when, who may ask for them, and what a fault costs nobody."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import openai
import pytest

from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.identity import KeyRecord
from extproc.core.ledger import KEEP_MS, TASK_MS, bucket_of
from extproc.settings import load_pepper
from extproc.store.keyring import RedisKeyring
from tests.e2e.bills import scripted
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway
from tests.e2e.sdks import openai_client
from tests.e2e.test_audit import tollgate
from tests.e2e.test_outage import redis_away

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

CHANNELS = """
channels:
  a:
    dialect: openai
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a/v1
    models: {sora: vendor-sora, film: , by-token: }
  busy:
    dialect: openai
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/busy/v1
    models: {sora: other-sora}
"""
GROUPS = """
groups:
  default: {multiplier: 0.5, show_channel: true, channels: [{channel: busy}, {channel: a, priority: 1}]}
"""
MODELS = """
models:
  sora:
    price:
      per_second:
      - {resolution: 720p, price: 0.10}
      - {size: 1024x1792, price: 0.50}
      - {size: auto, price: 0.10}
  film: {price: {per_call: 2}}
  by-token: {price: {input: 1, output: 5}, max_output_tokens: 10}
"""
SECOND_NANO = 100_000_000 // 2


def prompt(**script: Any) -> str:
    """What scripts the vendor `a`; the busy one is busy."""
    return scripted("a cat", only={"busy": {"status": 429}, "a": script})


def write(folder: Any, **files: str) -> None:
    """The YAML of a gateway."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose videos are priced by the second, at half the price; the first channel of its group is busy."""
    config = tmp_path_factory.mktemp("config")
    write(config, channels=CHANNELS, groups=GROUPS, models=MODELS)
    with gateway(config, tmp_path_factory.mktemp("data")) as running:
        yield running


def ask(gateway: Gateway, customer: Customer, path: str = "", method: str = "GET", **more: Any) -> httpx.Response:
    """A request about videos."""
    headers = {"authorization": f"Bearer {customer.key}"}
    return HTTP.request(method, f"{gateway.url}/v1/videos{path}", headers=headers, **more)


def make(gateway: Gateway, customer: Customer, script: dict[str, Any] | None = None, **asked: Any) -> httpx.Response:
    """Ask for a video of eight seconds, in JSON."""
    body = {"model": "sora", "prompt": prompt(video=script or {}), "seconds": "8", "size": "1280x720", **asked}
    said = {name: value for name, value in body.items() if value is not None}
    return ask(gateway, customer, method="POST", json=said)


def started(gateway: Gateway, customer: Customer, **script: Any) -> str:
    """The id of a video that is being made."""
    answer = make(gateway, customer, script)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    return f"/{answer.json()['id']}"


def charges(gateway: Gateway, customer: Customer, records: int) -> list[tuple[str, str, int]]:
    """What the log says of the videos themselves, without the questions about them, once nothing is held."""
    found = gateway.settled(customer, records)
    return [
        (record["state"], record["reporter"], record["charged_nano"])
        for record in found
        if record["operation"] == "openai.videos"
    ]


def test_a_video_is_charged_when_it_is_done(videos: Gateway) -> None:
    """Made by the SDK, as a form; asked for until it is done, fetched twice, deleted: charged once, eight seconds.

    It keeps its public name in every answer. Only the channel that made it is asked.
    """
    customer = videos.customer(usd="1")
    client = openai_client(videos.url, customer.key)
    videos.forget_received()
    video = client.videos.create_and_poll(
        model="sora", prompt=prompt(video={"polls": 3}), seconds="8", size="1280x720", poll_interval_ms=20
    )
    assert (video.status, video.model, video.seconds) == ("completed", "sora", "8")
    for _ in range(2):
        assert client.videos.download_content(video.id).content.startswith(b"\0\0\0\x18ftyp")
    assert client.videos.delete(video.id).deleted
    assert charges(videos, customer, records=8) == [("REPORTED", "task", 8 * SECOND_NANO)]
    (record,) = [each for each in videos.usage(customer) if each["operation"] == "openai.videos"]
    assert record["said"] == {"size": "1280x720", "resolution": "720p"}
    assert (record["usage"]["units"], record["channel"], record["attempts"], record["doubts"]) == (8_000, "a", 2, [])
    assert [each["vendor"] for each in videos.received()] == ["busy", *["a"] * 8]
    assert {model.id for model in client.models.list()} >= {"sora", "film"}
    repriced = tollgate(videos, "reprice", record["request_id"], "--json")
    ((repriced_nano,), code) = [each["recomputed_nano"] for each in json.loads(repriced.stdout)], repriced.returncode
    assert (repriced_nano, code) == (8 * SECOND_NANO, 0)


def test_a_video_under_way_is_held(videos: Gateway) -> None:
    """Neither the answer that names it nor questions about it end its hold, which lives for a day."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=10)
    for status in ("in_progress", "in_progress"):
        assert ask(videos, customer, video).json()["status"] == status
    eventually(lambda: len(videos.usage(customer)) == 2, "the questions to end")
    assert (videos.wallet(customer).held_nano, videos.live(customer)) == (8 * SECOND_NANO, 1)
    assert {record["operation"] for record in videos.usage(customer)} == {"openai.video"}


def expire(gateway: Gateway, customer: Customer, at_ms: int) -> list[str]:
    """What the sweeper would do then."""
    return gateway.on_ledger(lambda ledger: ledger.expire_due(bucket_of(customer.owner), at_ms, 100))


def test_what_nobody_asks_for_is_not_charged(videos: Gateway) -> None:
    """Its hold expires after a day. Who asks later still pays."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=0)
    assert expire(videos, customer, now_ms() + TASK_MS - 60_000) == []
    assert len(expire(videos, customer, now_ms() + TASK_MS)) == 1
    assert (videos.wallet(customer).held_nano, videos.wallet(customer).used_nano) == (0, 0)
    assert ask(videos, customer, f"{video}/content").status_code == 200
    assert charges(videos, customer, records=3) == [("EXPIRED", "sweeper", 0), ("REPORTED", "task", 8 * SECOND_NANO)]


def test_a_record_of_a_task_is_forgotten(videos: Gateway) -> None:
    """Two days after it was made: until then the ledger can tell a repeated report from a first one."""
    customer = videos.customer()
    video = started(videos, customer)
    name = f"tg:{{b{bucket_of(customer.owner)}}}:task:{customer.owner}:{video[1:]}"
    left_ms = videos._redis(lambda redis: redis.execute("PTTL", name))
    assert 0 <= TASK_MS + KEEP_MS - left_ms < 60_000


@pytest.mark.parametrize("ends", ["failed", "cancelled", "expired"])
def test_a_video_that_fails_costs_nothing(videos: Gateway, ends: str) -> None:
    """However often one asks."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=1, ends=ends)
    assert [ask(videos, customer, video).json()["status"] for _ in range(4)] == ["in_progress", ends, ends, ends]
    assert charges(videos, customer, records=5) == [("RELEASED", "task", 0)]


def test_a_video_is_paid_for_before_it_is_fetched(videos: Gateway) -> None:
    """Who fetches without having asked whether it is done is charged by the time the first byte comes."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=0, content_bytes=20_000_000)
    headers = {"authorization": f"Bearer {customer.key}"}
    url = f"{videos.url}/v1/videos{video}/content?variant=video"
    with HTTP.stream("GET", url, headers=headers) as answer:
        used = videos.wallet(customer).used_nano
        size = sum(map(len, answer.iter_raw()))
    assert (answer.status_code, answer.headers["content-type"], size) == (200, "video/mp4", 20_000_000)
    assert used == 8 * SECOND_NANO
    assert charges(videos, customer, records=2) == [("REPORTED", "task", 8 * SECOND_NANO)]
    assert videos.received()[-1]["path"].endswith("/content?variant=video")


def test_a_video_that_is_deleted_unseen_costs_nothing(videos: Gateway) -> None:
    """Its hold is released, and nobody can fetch it any more."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=0)
    assert ask(videos, customer, video, "DELETE").json()["deleted"]
    assert ask(videos, customer, f"{video}/content").status_code == 404
    assert charges(videos, customer, records=3) == [("RELEASED", "task", 0)]


@pytest.mark.parametrize(
    ("asked", "script", "nano"),
    [
        ({"seconds": 12}, {}, 12 * SECOND_NANO),
        ({"size": "720x1280"}, {}, 8 * SECOND_NANO),
        ({"size": "1024x1792"}, {}, 8 * 5 * SECOND_NANO),
        ({"seconds": None, "size": None}, {}, 4 * SECOND_NANO),
        ({"seconds": "10"}, {"seconds": 6.5}, 65 * SECOND_NANO // 10),
        ({"model": "film"}, {}, 1_000_000_000),
    ],
    ids=["a number", "upright", "larger", "nothing said", "shorter than asked for", "by the call"],
)
def test_what_a_video_costs(videos: Gateway, asked: dict[str, Any], script: dict[str, Any], nano: int) -> None:
    """As many seconds as the vendor made, at the price of the size; what differs from what was asked for is a doubt."""
    customer = videos.customer(usd="10")
    answer = make(videos, customer, {"polls": 0, **script}, **asked)
    assert "x-tollgate-cost" not in answer.headers
    assert ask(videos, customer, f"/{answer.json()['id']}").json()["status"] == "completed"
    assert charges(videos, customer, records=2) == [("REPORTED", "task", nano)]
    (record,) = [each for each in videos.usage(customer) if each["operation"] == "openai.videos"]
    assert bool(record["doubts"]) == bool(script)


@pytest.mark.parametrize(
    ("asked", "status", "code", "param"),
    [
        ({"seconds": "0"}, 400, "invalid_request_error", "seconds"),
        ({"seconds": 3_601}, 400, "invalid_request_error", "seconds"),
        ({"seconds": "9" * 40}, 400, "invalid_request_error", "seconds"),
        ({"seconds": 4.5}, 400, "invalid_request_error", "seconds"),
        ({"seconds": "-4"}, 400, "invalid_request_error", "seconds"),
        ({"seconds": True}, 400, "invalid_request_error", "seconds"),
        ({"seconds": 3_600}, 402, "insufficient_quota", None),
        ({"size": "1x1"}, 400, "invalid_request_error", None),
        ({"size": "a b"}, 400, "invalid_request_error", "size"),
        ({"model": None}, 400, "invalid_request_error", "model"),
        ({"model": "nowhere"}, 404, "model_not_found", "model"),
        ({"model": "by-token"}, 400, "invalid_request_error", None),
    ],
)
def test_what_has_no_price_is_refused(
    videos: Gateway, asked: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    """Before any vendor is asked, and nothing is held."""
    customer = videos.customer(usd="5")
    videos.forget_received()
    answer = make(videos, customer, **asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert (videos.received(), videos.wallet(customer).held_nano) == ([], 0)


def another_key(gateway: Gateway, customer: Customer, **terms: Any) -> Customer:
    """Another key of the same owner."""
    plaintext = identity.new_plaintext()
    key_id = f"{customer.key_id}-{plaintext[3:9]}"
    record = KeyRecord(key_id, customer.owner, plaintext[: identity.PREFIX_LENGTH], "test", "default", **terms)
    digest = identity.digest(load_pepper(gateway.settings), plaintext)
    gateway._redis(lambda redis: RedisKeyring(redis).create(record, digest))
    return Customer(customer.owner, plaintext, key_id)


@pytest.mark.parametrize(("path", "method"), [("", "GET"), ("/content", "GET"), ("", "DELETE")])
def test_a_video_is_its_owners_alone(videos: Gateway, path: str, method: str) -> None:
    """To another owner, and to another team of the same, it is not there: as one that never was. No vendor is asked."""
    customer = videos.customer(team="red", member="ann")
    video = started(videos, customer)
    strangers = [videos.customer(), videos.customer(team="red"), another_key(videos, customer)]
    strangers += [another_key(videos, customer, team="blue")]
    videos.forget_received()
    for stranger in strangers:
        answer, none = (ask(videos, stranger, f"{each}{path}", method) for each in (video, "/video_never"))
        assert answer.status_code == none.status_code == 404
        assert answer.json()["error"] == none.json()["error"]
        assert answer.json()["error"]["code"] == "not_found"
    assert videos.received() == []
    assert ask(videos, another_key(videos, customer, team="red", member="bob"), video).status_code == 200


def test_a_key_that_may_not_ask_for_the_model(videos: Gateway) -> None:
    """It makes no videos, and those of other keys of its owner are not there for it; a family that fits lets it in."""
    customer = videos.customer()
    video = started(videos, customer)
    limited = another_key(videos, customer, allowed_models=("chat*",))
    refused = make(videos, limited)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert [ask(videos, limited, video, method).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert ask(videos, another_key(videos, customer, allowed_models=("so*",)), video).status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("", "GET", 404),
        ("/", "GET", 404),
        ("/{id}/remix", "POST", 404),
        ("/{id}", "POST", 404),
        ("/{id}/content", "DELETE", 404),
        ("/{id}/content/more", "GET", 404),
        ("/{id}%2Fcontent", "GET", 404),
        ("/..%2Fmodels", "GET", 404),
        ("/{id}?key=", "GET", 200),
    ],
)
def test_other_paths_are_not_there(videos: Gateway, path: str, method: str, status: int) -> None:
    """Nor is a list, which would show what others have made, nor a remix, which would have no price."""
    customer = videos.customer()
    video = started(videos, customer)
    videos.forget_received()
    content = b"{}" if method == "POST" else None
    answer = ask(videos, customer, path.replace("/{id}", video), method, content=content)
    assert (answer.status_code, len(videos.received())) == (status, int(status == 200))


def test_a_question_has_no_body(videos: Gateway) -> None:
    """One that has is refused, for nobody would look at it."""
    customer = videos.customer()
    answer = ask(videos, customer, started(videos, customer), json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"status": 400}, 400, None),
        ({"status": 500}, 500, None),
        ({"status": 429}, 429, "upstream_saturated"),
        ({"reset_after": 0}, 502, None),
        ({"video": {"not_json": True}}, 500, "internal_error"),
        ({"video": {"id": ""}}, 500, "internal_error"),
        ({"video": {"id": "../secret"}}, 500, "internal_error"),
    ],
)
def test_what_was_not_made_costs_nothing(
    videos: Gateway, script: dict[str, Any], status: int, code: str | None
) -> None:
    """An error of the vendor's, or an answer that names nothing one could ask for: the hold is released at once."""
    customer = videos.customer()
    try:
        answer = make(videos, customer, prompt=prompt(**script))
        assert answer.status_code == status
        assert code is None or answer.json()["error"]["code"] == code
    except httpx.TransportError:
        assert "reset_after" in script
    ((state, _, nano),) = charges(videos, customer, records=1)
    assert (state, nano, videos.live(customer)) == ("RELEASED", 0, 0)


def test_an_id_that_was_given_before_is_refused(videos: Gateway) -> None:
    """The first of the two stays what it is."""
    customer = videos.customer(usd="2")
    script = {"id": "video_twice", "polls": 0}
    assert make(videos, customer, script).status_code == 200
    again = make(videos, customer, script)
    assert (again.status_code, again.json()["error"]["reason"]) == (500, "task_not_made")
    assert ask(videos, customer, "/video_twice").status_code == 200
    assert sorted(charges(videos, customer, records=3)) == [
        ("RELEASED", "access_log", 0),
        ("REPORTED", "task", 8 * SECOND_NANO),
    ]


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_about_a_video_moves_nothing(videos: Gateway, status: int) -> None:
    """It says nothing of how far the video is."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, poll_status=status)
    assert ask(videos, customer, video).status_code == status
    eventually(lambda: videos.usage(customer), "the question to end")
    assert (videos.wallet(customer).held_nano, videos.wallet(customer).used_nano) == (8 * SECOND_NANO, 0)


def test_many_questions_at_once_charge_once(videos: Gateway) -> None:
    """Whichever of them is told first that it is done."""
    customer = videos.customer(usd="1")
    video = started(videos, customer, polls=0)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, videos, customer, video + path) for path in ["", "/content"] * 8]
        assert {each.result().status_code for each in asked} == {200}
    assert charges(videos, customer, records=17) == [("REPORTED", "task", 8 * SECOND_NANO)]


def test_tasks_leave_room_for_questions(videos: Gateway) -> None:
    """A key with as many videos under way as it may have requests can still ask for them."""
    customer = videos.customer(max_live=2)
    one, _ = started(videos, customer, polls=0), started(videos, customer)
    refused = make(videos, customer)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (429, "concurrency_limit_reached")
    assert ask(videos, customer, one).json()["status"] == "completed"
    eventually(lambda: make(videos, customer).status_code == 200, "room")


def test_a_question_counts_as_a_request_of_the_minute(videos: Gateway) -> None:
    """Asking without a pause is refused as any other flood is."""
    customer = videos.customer(requests_per_minute=2)
    video = started(videos, customer)
    assert ask(videos, customer, video).status_code == 200
    refused = ask(videos, customer, video)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (429, "requests_per_minute_exceeded")
    assert int(refused.headers["retry-after"]) > 0


def test_a_disabled_key_asks_in_vain(videos: Gateway) -> None:
    """From the next question on, though the worker remembers the key."""
    customer = videos.customer()
    video = started(videos, customer)
    assert ask(videos, customer, video).status_code == 200
    videos._redis(lambda redis: RedisKeyring(redis).disable(customer.key_id))
    assert ask(videos, customer, video).status_code == 401


def test_all_of_it_adds_up(videos: Gateway) -> None:
    """After all of that the audit finds no difference."""
    said = tollgate(videos, "audit", "--json")
    assert said.returncode == 0, said.stdout
    assert json.loads(said.stdout)["unknown_revisions"] == {}


def test_the_example_has_a_group_for_videos(demo: Gateway) -> None:
    """With a key of that group the official SDK makes one as its guide does; with any other there is no such model."""
    customer = demo.customer(usd="1", group="video")
    client = openai_client(demo.url, customer.key)
    assert [model.id for model in client.models.list()] == ["sora-2"]
    video = client.videos.create_and_poll(model="sora-2", prompt="a cat", poll_interval_ms=20)
    assert (video.status, video.seconds) == ("completed", "4")
    assert charges(demo, customer, records=2) == [("REPORTED", "task", 400_000_000)]
    with pytest.raises(openai.NotFoundError):
        openai_client(demo.url, demo.customer().key).videos.create(model="sora-2", prompt="a cat")


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that these tests break, each of which leaves it whole."""
    config = tmp_path_factory.mktemp("config")
    write(config, channels=CHANNELS, groups=GROUPS, models=MODELS)
    with gateway(config, tmp_path_factory.mktemp("data")) as running:
        yield running


def test_the_workers_are_killed_after_the_answer(own: Gateway) -> None:
    """Their successors know of the video: it is charged when it is done."""
    customer = own.customer(usd="1")
    video = started(own, customer, polls=0)
    killed = own.kill("extproc.app")
    eventually(lambda: not set(killed) & set(own.pids("extproc.app")), "the workers to be gone")
    eventually(lambda: ask(own, customer, video).status_code == 200, "an answer")
    assert charges(own, customer, records=2) == [("REPORTED", "task", 8 * SECOND_NANO)]


@contextmanager
def answering(gateway: Gateway, customer: Customer) -> Iterator[list[httpx.Response]]:
    """A vendor that is asked for a video, and waits for the end of the block with its answer."""
    answers: list[httpx.Response] = []
    asked = prompt(pause_at=-1)
    thread = threading.Thread(target=lambda: answers.append(make(gateway, customer, prompt=asked)))
    thread.start()
    eventually(lambda: HTTP.get(f"{gateway.simulator_url}/_sim/paused").json()["paused"], "the vendor to be asked")
    yield answers
    HTTP.post(f"{gateway.simulator_url}/_sim/resume")
    thread.join(60)


def test_redis_is_away_when_the_vendor_answers(own: Gateway) -> None:
    """The video cannot be written down: the caller is told so, and is not charged. The hold is released afterwards."""
    customer = own.customer(usd="1")
    with ExitStack() as away, answering(own, customer) as answers:
        away.enter_context(redis_away(own, signal.SIGCONT))
    (answer,) = answers
    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "ledger_unavailable")
    ((state, _, nano),) = charges(own, customer, records=1)
    assert (state, nano) == ("RELEASED", 0)


def test_redis_is_away_when_a_question_comes(own: Gateway) -> None:
    """It is refused, and the video is charged later."""
    customer = own.customer(usd="1")
    video = started(own, customer, polls=0)
    with redis_away(own, signal.SIGCONT):
        assert ask(own, customer, video).status_code == 503
    eventually(lambda: ask(own, customer, video).status_code == 200, "an answer")
    assert ("REPORTED", "task", 8 * SECOND_NANO) in charges(own, customer, records=2)


def test_no_worker_lives_when_the_vendor_answers(own: Gateway) -> None:
    """The caller gets an error in place of the answer, and the hold is released as soon as there is a worker."""
    customer = own.customer(usd="1")
    with answering(own, customer) as answers:
        frozen = own.kill("extproc.app", signal.SIGSTOP)
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)
    (answer,) = answers
    assert answer.status_code in (503, 504)
    assert answer.json()["error"]["type"] == "server_error"
    ((state, _, nano),) = charges(own, customer, records=1)
    assert (state, nano) == ("RELEASED", 0)
    eventually(own.workers_ready, "workers")


def test_a_channel_that_is_drained_answers_for_what_it_made(own: Gateway) -> None:
    """Nothing new is made there. When it is gone, the caller is told so; when it is back, all is as it was."""
    customer = own.customer(usd="1")
    video = started(own, customer, polls=1)

    def turn(state: str) -> None:
        write(own.settings.config, channels=CHANNELS.replace("  a:\n", f"  a:\n    state: {state}\n"))

    def answer(status: int) -> httpx.Response | None:
        found = ask(own, customer, video)
        return found if found.status_code == status else None

    turn("drained")
    eventually(lambda: make(own, own.customer()).status_code == 429, "the channel to be drained")
    assert answer(200)
    turn("disabled")
    gone = eventually(lambda: answer(503), "the channel to be gone")
    assert gone
    assert gone.json()["error"]["reason"] == "task_channel_gone"
    turn("active")
    back = eventually(lambda: answer(200), "the channel to be back")  # with one worker; another may not know it yet
    assert back
    done = eventually(lambda: answer(200), "an answer once more")
    assert done
    assert done.json()["status"] == "completed"
    eventually(lambda: own.wallet(customer).used_nano == 8 * SECOND_NANO, "the charge")


def test_all_of_it_still_adds_up(own: Gateway) -> None:
    """After all of that the audit finds no difference, and no report was lost."""
    assert tollgate(own, "audit").returncode == 0
    assert [word for word in ("report_dropped", "report_refused", "replay_failed") if word in own.logs()] == []
