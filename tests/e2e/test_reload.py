"""Edits of the YAML under load: each goes live, and no request fails for it."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from extproc import envoy_admin
from extproc.cli.main import app
from extproc.config.load import load
from tests.e2e.calls import FORMS, call, headers, streams_running
from tests.e2e.harness import HTTP, Gateway, eventually, gateway
from tests.e2e.load import Load

CHUNKS = 20
SCRIPT = {"chunks": CHUNKS, "pause_at": 2}
"""A stream that waits in its midst until the test lets it go on."""

ENVIRONMENT = {"KEY_OF_A": "secret-of-a", "KEY_OF_B": "secret-of-b"}
PRICE = {"input": 1, "output": 5}

Yaml = dict[str, Any]


def vendor(name: str, credential: str | None = None) -> Yaml:
    """A channel to one of the simulator's vendors."""
    channel: Yaml = {
        "dialect": "openai",
        "base_url": f"http://127.0.0.1:${{TOLLGATE_DEMO_PORT}}/{name}/v1",
        "models": {"chat": f"model-of-{name}"},
    }
    return channel | ({"credential": credential} if credential else {})


def group(*channels: str) -> Yaml:
    """A group of these channels, each tried when those before it have failed."""
    return {"channels": [{"channel": name, "priority": place} for place, name in enumerate(channels)]}


BEGINNING: Yaml = {
    "channels": {"a": vendor("a", "env:KEY_OF_A")},
    "models": {"chat": {"price": PRICE, "max_output_tokens": 1000}},
    "groups": {"default": group("a")},
}


class Folder:
    """The YAML of a running gateway, which tests edit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: Yaml = {}
        self.set(BEGINNING)

    def set(self, content: Yaml) -> None:
        """Say this, file by file."""
        self.content = json.loads(json.dumps(content))
        for name, entries in self.content.items():
            text = yaml.safe_dump({name: entries})
            file = self.path / f"{name}.yaml"
            if not file.exists() or file.read_text() != text:
                file.write_text(text)

    def edit(self, change: Callable[[Yaml], None]) -> None:
        """Change it, in place, as an editor does."""
        content = json.loads(json.dumps(self.content))
        change(content)
        self.set(content)


class Edited:
    """A gateway, and the folder that it follows."""

    def __init__(self, running: Gateway, folder: Folder) -> None:
        self.gateway = running
        self.folder = folder

    def status(self) -> tuple[int, Yaml]:
        """The exit code of `tollgate status --json`, and what it prints."""
        ended = CliRunner().invoke(app, ["status", "--json", "--data", str(self.gateway.settings.data)])
        said: Yaml = json.loads(ended.stdout)
        return ended.exit_code, said

    def live(self) -> bool:
        """Whether every worker decides by what the folder says, and all is well."""
        env = {**self.gateway.settings.environment(), **ENVIRONMENT}
        revision = load(self.folder.path, env).catalog.revision
        code, said = self.status()
        workers = {worker["revision"] for worker in said["workers"]}
        return code == 0 and said["live"]["revision"] == revision and workers == {revision}

    def edit(self, change: Callable[[Yaml], None]) -> None:
        """Edit the folder, and wait until it is live."""
        self.folder.edit(change)
        eventually(self.live, "the edit to be live", 60)

    def received(self) -> set[tuple[str, str, str]]:
        """Which vendors were asked since the last time, by which model's name and with which credential."""
        found = self.gateway.received()
        self.gateway.forget_received()
        return {(each["vendor"], each["model"], each["headers"]["authorization"]) for each in found}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    """A gateway for these tests alone."""
    path = tmp_path_factory.mktemp("config")
    folder = Folder(path)
    with gateway(path, tmp_path_factory.mktemp("reload"), environment=ENVIRONMENT) as running:
        yield Edited(running, folder)


@pytest.fixture
def edited(followed: Edited) -> Edited:
    """The same, with the folder as it was at the beginning, and live."""
    followed.folder.set(BEGINNING)
    eventually(followed.live, "the beginning", 60)
    followed.gateway.forget_received()
    return followed


def add(content: Yaml) -> None:
    """A second channel, with a credential of its own, before the first."""
    content["channels"]["b"] = vendor("b", "env:KEY_OF_B")
    content["groups"]["default"] = group("b", "a")


def rename(content: Yaml) -> None:
    """The second channel gets another name."""
    content["channels"]["renamed"] = content["channels"].pop("b")
    content["groups"]["default"] = group("renamed", "a")


def move(content: Yaml) -> None:
    """The second channel becomes another vendor, at another path and with another credential, under the same name."""
    content["channels"]["renamed"] = vendor("elsewhere/deeper", "env:KEY_OF_A")


def raise_prices(content: Yaml) -> None:
    """Everything costs ten times as much."""
    content["models"]["chat"]["price"] = {name: 10 * usd for name, usd in PRICE.items()}


def remove(content: Yaml) -> None:
    """The second channel goes."""
    del content["channels"]["renamed"]
    content["groups"]["default"] = group("a")


A = ("a", "model-of-a", "Bearer secret-of-a")
B = ("b", "model-of-b", "Bearer secret-of-b")
ELSEWHERE = ("elsewhere", "model-of-elsewhere/deeper", "Bearer secret-of-a")

EDITS = [
    (add, A, B),
    (rename, B, B),
    (move, B, ELSEWHERE),
    (raise_prices, ELSEWHERE, ELSEWHERE),
    (remove, ELSEWHERE, A),
]
"""Each edit, and who answers before and after it, to which model's name and with which credential."""


def test_fifty_streams_and_callers_notice_nothing_of_edits(edited: Edited) -> None:
    """Adding, renaming, moving and removing a channel, and new prices: no stream is cut, no request fails.

    Streams that began before are charged what was quoted then, and each edit is live when `status` says so.
    """
    gateway, customer, other = edited.gateway, edited.gateway.customer(usd="100"), edited.gateway.customer(usd="100")
    with streams_running(gateway, customer, 50, SCRIPT) as readings, Load(gateway, other, callers=3) as load:
        gateway.forget_received()
        for change, before, after in EDITS:
            load.more(10)
            edited.edit(change)
            load.more(10)
            assert edited.received() <= {before, after}
            load.more(10)
            assert edited.received() == {after}
        HTTP.post(f"{gateway.simulator_url}/_sim/resume")
    assert [answer for answer in load.answers if answer[0] != 200] == []
    assert [reading for reading in readings if reading.status != 200 or reading.cut] == []
    assert {len(reading.words) for reading in readings} == {CHUNKS}
    records = gateway.settled(customer, records=50)
    assert len(records) == 50
    assert {record["state"] for record in records} == {"REPORTED"}
    assert {record["charged_nano"] for record in records} == {2 * 1000 + CHUNKS * 5000}
    assert {record["charged_nano"] for record in gateway.settled(other, records=len(load.answers))} == {
        2 * 1000 + 5 * 5000,
        10 * (2 * 1000 + 5 * 5000),
    }


def test_a_body_that_comes_after_the_edit_goes_where_its_headers_were_admitted(edited: Edited) -> None:
    """A caller whose headers came before a rename, and whose body comes after it, is served on the terms of before."""
    gateway, customer = edited.gateway, edited.gateway.customer()
    form, sent, rest = FORMS["chat"], threading.Event(), threading.Event()
    body = form.encode("Hello you")

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        sent.set()
        assert rest.wait(60)
        yield body[10:]

    answers: list[httpx.Response] = []
    told = headers(form, customer.key) | {"content-length": str(len(body))}
    url = gateway.url + form.path
    caller = threading.Thread(
        target=lambda: answers.append(httpx.post(url, headers=told, content=slowly(), timeout=60))
    )
    before = _answers_of_admit(gateway)
    caller.start()
    assert sent.wait(60)
    eventually(lambda: _answers_of_admit(gateway) > before, "the headers to be admitted")

    def rename_the_only_one(content: Yaml) -> None:
        content["channels"] = {"other": vendor("b", "env:KEY_OF_B")}
        content["groups"]["default"] = group("other")

    edited.edit(rename_the_only_one)
    rest.set()
    caller.join(60)
    assert [answer.status_code for answer in answers] == [200]
    assert [each["model"] for each in gateway.received()] == ["model-of-a"]
    (record,) = gateway.settled(customer, records=1)
    assert (record["channel"], record["state"]) == ("a", "REPORTED")


def _answers_of_admit(gateway: Gateway) -> int:
    """How often the sidecar has answered Envoy's filters."""
    seen = envoy_admin.stats(gateway.settings.run / "admin.sock", "ext_proc.*stream_msgs_received")
    return sum(map(int, seen.values()))


def break_it(content: Yaml) -> None:
    """A channel that is not there, in a model's place a price below zero."""
    content["groups"]["default"] = group("nobody")
    content["models"]["chat"]["price"]["input"] = -1


def test_a_broken_edit_changes_nothing_and_is_told(edited: Edited) -> None:
    """It is in the log and in `status` with file and line; what was accepted stays live, and the cure goes live.

    Workers that are killed meanwhile come back with what was accepted.
    """
    gateway, customer = edited.gateway, edited.gateway.customer(usd="100")
    _, before = edited.status()
    with Load(gateway, customer, callers=3) as load:
        load.more(10)
        edited.folder.edit(break_it)
        eventually(lambda: edited.status()[1]["live"]["problems"], "the edit to be noticed", 60)
        code, said = edited.status()
        assert code == 1
        assert [problem.removeprefix(f"{edited.folder.path}/") for problem in said["live"]["problems"]] == [
            "groups.yaml:4: groups.default.channels[0].channel: there is no channel 'nobody'",
            "models.yaml:5: models.chat.price.input: must not be negative",
        ]
        assert said["wrong"] == [f"{edited.folder.path} is broken; what was accepted before stays live."]
        assert (said["live"]["revision"], said["live"]["since_ms"]) == (
            before["live"]["revision"],
            before["live"]["since_ms"],
        )
        load.more(10)
    assert {status for status, _, _ in load.answers} == {200}
    shown = CliRunner().invoke(app, ["status", "--data", str(gateway.settings.data)])
    assert f"{edited.folder.path} is broken" in shown.stdout
    assert all(problem in shown.stdout for problem in said["live"]["problems"])
    assert '"event": "edit_refused"' in (gateway.settings.data / "up.log").read_text()

    killed = set(gateway.kill("extproc.app", signal.SIGKILL))
    eventually(lambda: not killed & {worker["pid"] for worker in edited.status()[1]["workers"]}, "new workers", 60)
    eventually(lambda: call(gateway, customer, "chat").status_code == 200, "an answer", 60)
    _, said = edited.status()
    assert {worker["revision"] for worker in said["workers"]} == {before["live"]["revision"]}

    edited.folder.set(BEGINNING)
    edited.edit(add)
    assert call(gateway, customer, "chat").status_code == 200
    assert gateway.received()[-1]["vendor"] == "b"
    assert edited.status()[1]["live"]["problems"] == []


def unhealthy(edited: Edited) -> list[str]:
    """The workers that Envoy does not find healthy."""
    return [str(worker["name"]) for worker in edited.status()[1]["workers"] if not worker["healthy"]]


def test_status_tells_what_hangs(edited: Edited) -> None:
    """A worker that hangs does not answer, nor is it healthy for Envoy, and neither does Redis; later all is well."""
    gateway = edited.gateway
    stopped = [gateway.pids("extproc.app")[0], *gateway.pids("redis-server")]
    (name,) = [worker["name"] for worker in edited.status()[1]["workers"] if worker["pid"] in stopped]
    hung = [f"{name} runs, but does not answer.", "Redis does not answer: Redis did not answer within 2.0 s."]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: (1, hung) == ((said := edited.status())[0], said[1]["wrong"]), "both to be noticed", 60)
        eventually(lambda: unhealthy(edited) == [name], "Envoy to notice", 60)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: edited.status()[0] == 0, "both to be well", 60)


def test_a_model_that_goes_is_not_found_and_nothing_else_fails(edited: Edited) -> None:
    """Until it has gone everywhere its callers are served, afterwards they get 404; other callers notice nothing."""
    gateway, customer = edited.gateway, edited.gateway.customer(usd="100")

    def offer_another(content: Yaml) -> None:
        content["models"]["second"] = content["models"]["chat"]
        content["channels"]["a"]["models"]["second"] = "model-two"

    edited.edit(offer_another)
    second = FORMS["chat"].encode("Hello you").replace(b'"chat"', b'"second"')

    def status() -> int:
        url = gateway.url + FORMS["chat"].path
        return httpx.post(url, headers=headers(FORMS["chat"], customer.key), content=second).status_code

    assert status() == 200
    statuses = set()
    with Load(gateway, customer, callers=2) as load:
        edited.folder.set(BEGINNING)
        while not edited.live():
            statuses.add(status())
        load.more(5)
    assert statuses <= {200, 404}
    assert status() == 404
    assert {each for each, _, _ in load.answers} == {200}


def test_a_key_in_a_file_that_is_replaced_is_live_without_a_reload(edited: Edited, tmp_path: Path) -> None:
    """Envoy watches the file of a vendor's key: its next version is sent with the next request, and none fails."""
    key, customer = tmp_path / "vendor.key", edited.gateway.customer()
    key.write_text("first-secret\n")

    def name_the_file(content: Yaml) -> None:
        content["channels"]["a"]["credential"] = f"file:{key}"

    def sent() -> str:
        edited.gateway.forget_received()
        assert call(edited.gateway, customer, "chat").status_code == 200
        return str(edited.gateway.received()[-1]["headers"]["authorization"])

    edited.edit(name_the_file)
    assert sent() == "Bearer first-secret"
    (tmp_path / "next").write_text("second-secret\n")
    (tmp_path / "next").rename(key)
    eventually(lambda: sent() == "Bearer second-secret", "the next key")
