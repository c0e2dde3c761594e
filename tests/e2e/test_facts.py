"""The facts about Envoy that the design stands on, each on the real binary: the next Envoy may differ."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from extproc import envoy_admin, names
from extproc.binaries import envoy_binary
from extproc.compiler.edge import Edge
from extproc.compiler.install import BOOTSTRAP_SOURCE, CLUSTERS, install, run_files, write_run_folder
from extproc.config.load import load
from extproc.core.catalog import Catalog, Channel, Dialect
from extproc.core.pricing import FREE, ONE, Terms
from extproc.core.quote import Line, Quote
from extproc.core.scale import Scale
from extproc.errors import ConfigError
from extproc.wire import codec
from extproc.wire.pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from extproc.wire.pb.health_pb2 import HealthCheckRequest, HealthCheckResponse
from extproc.wire.pb.priority_group_pb2 import PriorityGroupsOverride
from tests.e2e.calls import FORMS, call, headers, prompt
from tests.e2e.chains import CHAINS, CHANNELS, environment, variable
from tests.e2e.harness import Gateway, eventually, free_port
from tests.e2e.odd_vendor import OddVendor

ANSWER_SECONDS = 30.0
"""Generous: an answer that hangs on lost trailers never ends."""


def _stats(gateway: Gateway, pattern: str) -> dict[str, str]:
    return envoy_admin.stats(gateway.settings.run / "admin.sock", pattern)


# --- A. A channel without a host is no dead end -----------------------------------------------------------------------


def test_a_an_ejected_host_is_no_dead_end(chains: Gateway) -> None:
    """A vendor that always fails is asked three times and then left alone; every request is answered by the next."""
    customer = chains.customer(group="sick-then-b")
    chains.forget_received()
    statuses = [call(chains, customer, "chat").status_code for _ in range(8)]
    assert statuses == [200] * 8
    assert len(chains.received("sick")) == 3
    assert _stats(chains, "channel_sick.outlier_detection.ejections_active").popitem()[1] == "1"
    assert {record["attempts"] for record in chains.settled(customer, records=8)} == {2}


@pytest.mark.parametrize("channel", ["refuses", "unresolvable"])
def test_a_a_channel_without_a_host_is_no_dead_end(chains: Gateway, channel: str) -> None:
    """A name that does not resolve and a port that refuses are followed by the next channel, every time."""
    customer = chains.customer(group=f"{channel}-then-b")
    assert [call(chains, customer, "chat").status_code for _ in range(5)] == [200] * 5


def test_a_an_ejected_host_alone_fails_clearly(chains: Gateway) -> None:
    """While its only vendor is ejected a chain answers 503 at once, without asking it."""
    customer = chains.customer(group="only-alone-sick")
    chains.forget_received()
    statuses = [call(chains, customer, "chat").status_code for _ in range(5)]
    assert statuses == [500, 500, 500, 503, 503]
    assert len(chains.received("alone-sick")) == 3
    assert chains.wallet(customer).used_nano == 0


# B, nothing leaks from one attempt to the next: `test_each_vendor_gets_its_own_and_nothing_else` in test_failover.py


# --- C. No answer hangs on lost trailers ------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[str, dict[str, object], int]] = {
    **{form: (form, {}, 200) for form in FORMS},
    **{f"error to {form}": (form, {"status": 400}, 400) for form in FORMS},
    "JSON of 3 MB": ("chat", {"body_bytes": 3_000_000}, 200),
    "JSON above what is read for usage": ("chat", {"body_bytes": 11_000_000}, 200),
    "embeddings of 3 MB": ("embeddings", {"body_bytes": 3_000_000}, 200),
    "stream of 3 MB": ("chat stream", {"chunks": 300, "word_bytes": 10_000}, 200),
    "stream of large events": ("messages stream", {"chunks": 3, "word_bytes": 1_000_000}, 200),
    "stream without a chunk": ("chat stream", {"chunks": 0}, 200),
    "stream without usage": ("messages stream", {"no_usage": True}, 200),
}


def _as_the_vendor_said_it(answer: bytes) -> bytes:
    """An answer of channel `a` with that vendor's own names for its models."""
    for public, vendor in CHANNELS["a"]["models"].items():
        answer = answer.replace(f'"model":"{public}"'.encode(), f'"model":"{vendor}"'.encode())
    return answer


@pytest.mark.parametrize(("form_name", "script", "status"), ANSWERS.values(), ids=ANSWERS)
def test_c_every_answer_ends(chains: Gateway, form_name: str, script: dict[str, object], status: int) -> None:
    """However large and of whatever kind, an answer reaches its end, whole, and its hold ends too."""
    customer = chains.customer(usd="1000")
    form = FORMS[form_name]
    answer = httpx.post(
        chains.url + form.path,
        headers=headers(form, customer.key),
        content=form.encode(prompt(script)),
        timeout=ANSWER_SECONDS,
    )
    assert answer.status_code == status
    if status == 200 and form.stream:
        ends = {"chat": "data: [DONE]", "responses": "response.completed", "messages": "message_stop"}
        assert ends.get(form_name.removesuffix(" stream"), "STOP") in answer.text[-20_000:]
    elif not form.stream:
        assert answer.json()
        assert len(_as_the_vendor_said_it(answer.content)) >= int(str(script.get("body_bytes", 0)))
    chains.settled(customer, records=1)


def test_c_a_large_answer_is_charged_by_what_was_delivered(chains: Gateway) -> None:
    """JSON above 10 MiB is not read to its usage: it ends, is marked estimated, and costs no more than the hold."""
    customer = chains.customer()
    call(chains, customer, "chat", {"body_bytes": 11_000_000})
    (record,) = chains.settled(customer, records=1)
    assert record["state"] == "ESTIMATED"
    assert record["charged_nano"] == record["hold_nano"]


# --- D. No request without its body slips past the hold ---------------------------------------------------------------


@pytest.mark.parametrize("form_name", [name for name, form in FORMS.items() if not form.stream])
@pytest.mark.parametrize("content", [b"", iter(())], ids=["none", "empty-chunked"])
def test_d_no_request_without_its_body_passes(chains: Gateway, form_name: str, content: bytes) -> None:
    """A POST without a body, or with an empty chunked one, is refused with 400; no vendor hears of it."""
    customer = chains.customer()
    chains.forget_received()
    form = FORMS[form_name]
    answer = httpx.post(chains.url + form.path, headers=headers(form, customer.key), content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert chains.received() == []


def test_d_without_admits_answer_there_is_no_cluster(chains: Gateway) -> None:
    """The cluster that the route names by itself has no host, so that what admit has not seen is a 503."""
    hosts = envoy_admin.ask(chains.settings.run / "admin.sock", "/clusters?filter=no_channel")
    assert "no_channel::" in hosts
    assert "::cx_active" not in hosts


# --- E. A bad cluster file changes nothing ----------------------------------------------------------------------------


def test_e_a_bad_cluster_file_changes_nothing(chains: Gateway, odd_vendor: OddVendor) -> None:
    """With one faulty cluster, and one gone, the running Envoy keeps all that it had; it never even saw the file."""
    run = chains.settings.run
    catalog = load(CHAINS, {**chains.settings.environment(), **environment(odd_vendor)}).catalog
    fewer = {name: channel for name, channel in catalog.channels.items() if name != "c"}
    less = Catalog.of("faulty", fewer, catalog.models, catalog.groups)
    files = run_files(BOOTSTRAP_SOURCE.read_text(), chains.settings.edge, less, chains.settings.workers)
    files[CLUSTERS] = files[CLUSTERS].replace('"address": "127.0.0.1"', '"address": "not.an.address"', 1)
    before = _stats(chains, "cluster_manager.cds")

    with pytest.raises(ConfigError, match="malformed IP address"):
        install(run, files)

    after = _stats(chains, "cluster_manager.cds")
    assert after["cluster_manager.cds.update_rejected"] == "0"
    assert {name: after[name] for name in after if "version" in name or "success" in name} == {
        name: before[name] for name in before if "version" in name or "success" in name
    }
    customer = chains.customer(group="spread")
    chains.forget_received()
    eventually(lambda: call(chains, customer, "chat").status_code == 200 and chains.received("c"), "channel c")


# --- F. A missing credential is reported at start-up ------------------------------------------------------------------


def test_f_a_missing_credential_is_reported_at_start_up(tmp_path: Path, odd_vendor: OddVendor) -> None:
    """`up` exits 1 with one line that names the file, the channel and what to do; nothing is left running."""
    given = environment(odd_vendor) | {"PATH": "/usr/bin:/bin"}
    del given[variable("claude-b")]
    command = [sys.executable, "-m", "extproc", "up", "--config", str(CHAINS), "--data", str(tmp_path)]
    command += ["--metrics-port", "0", "--envoy-metrics-port", "0", "--admin-port", "0"]
    command += ["--port", str(free_port()), "--demo-port", str(free_port())]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 1
    assert len(said) == 1
    for word in ("channels.yaml:", "claude-b.credential", "KEY_CLAUDE_B", "export KEY_CLAUDE_B"):
        assert word in said[0]


# --- What else is relied on -------------------------------------------------------------------------------------------


def test_the_callers_request_id_is_ignored(chains: Gateway) -> None:
    """Two calls with the same x-request-id get two ids of ours, and are two holds."""
    customer = chains.customer()
    chains.forget_received()
    forged = "11111111-2222-3333-4444-555555555555"
    answers = [call(chains, customer, "chat", extra={"x-request-id": forged}) for _ in range(2)]
    ids = {answer.headers["x-tollgate-request-id"] for answer in answers}
    assert len(ids) == 2
    assert forged not in ids
    assert {record["request_id"] for record in chains.settled(customer, records=2)} == ids
    assert forged not in str(chains.received())


@pytest.mark.parametrize("form_name", ["chat stream", "responses stream", "messages stream", "generate stream"])
def test_a_long_stream_keeps_its_usage(chains: Gateway, form_name: str) -> None:
    """Usage comes last, after 20,000 events, and is still read."""
    customer = chains.customer(usd="1000")
    call(chains, customer, form_name, {"chunks": 20_000})
    (record,) = chains.settled(customer, records=1)
    assert record["state"] == "REPORTED"
    assert record["usage"]["output_tokens"] == 20_000


def test_the_sidecar_is_told_as_much_of_a_long_stream_as_of_a_short_one(chains: Gateway) -> None:
    """1,000 chunks cause as many messages to the sidecar as 10: headers, body, trailers."""

    def messages(chunks: int) -> int:
        name = "http.edge.ext_proc.stream_msgs_sent"
        before = int(_stats(chains, name)[name])
        customer = chains.customer()
        call(chains, customer, "chat stream", {"chunks": chunks})
        chains.settled(customer, records=1)
        return int(_stats(chains, name)[name]) - before

    assert [messages(10), messages(1000)] == [3, 3]


# --- What admit's answer must say: an Envoy with our bootstrap, and an admit that leaves something out ----------------


@dataclass(frozen=True, slots=True)
class Lab:
    """An Envoy whose admit answers as the header `lab` of the request says."""

    url: str
    vendor: OddVendor
    cluster: str

    def ask(self, way: str) -> httpx.Response:
        """One call, and the vendor's memory emptied before it."""
        self.vendor.bodies.clear()
        told = {"lab": way, "lab-cluster": self.cluster}
        return httpx.post(f"{self.url}/v1/chat/completions", content=b'{"model": "x"}', headers=told)


CHANGED = b'{"model": "x", "changed": true}'


def _answer(way: str, cluster: str) -> ProcessingResponse:
    line = Line("g", ONE, "x")
    said = "o", "k", "p", (), "g", "x", "openai.chat", True, False, "r"
    quote = Quote(*said, 0, 0, Scale(0, 1), 0, 0, 0, Terms(FREE), {"x": line})
    body = CHANGED if "changed body" in way else None
    paths, clusters = {"x": "/answer/v1/chat/completions"}, {"x": cluster}
    answer = codec.forward(
        codec.Forward(quote, codec.encode_record(quote), codec.Way(paths, {}, clusters), 0, 0, body, {})
    )
    if "without weight" in way:
        packed = answer.typed_dynamic_metadata[names.CHAIN_NAMESPACE]
        override = PriorityGroupsOverride.FromString(packed.value)
        for group in override.priority_groups:
            for member in group.clusters:
                member.ClearField("weight")
        packed.Pack(override)
    if "without length" in way:
        mutation = answer.request_body.response.header_mutation
        kept = [option for option in mutation.set_headers if option.header.key != "content-length"]
        del mutation.set_headers[:]
        mutation.set_headers.extend(kept)
    return answer


def _admit(requests: Iterator[ProcessingRequest], _context: object) -> Iterator[ProcessingResponse]:
    first = next(requests)
    if first.HasField("request_headers"):
        head = codec.read_head(first)
        yield codec.continue_headers(head.target, Dialect.OPENAI, "o")
        next(requests)
        yield _answer(head.headers["lab"], head.headers["lab-cluster"])


def _healthy(_request: HealthCheckRequest, _context: object) -> HealthCheckResponse:
    return HealthCheckResponse(status=HealthCheckResponse.SERVING)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Lab]:
    """Our bootstrap and clusters with one channel, `x`, and the admit above in place of a worker."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    channel = Channel("x", Dialect.OPENAI, f"http://127.0.0.1:{odd_vendor.port}/answer/v1", None, {})
    catalog = Catalog.of("lab", {"x": channel}, {}, {})
    installed = write_run_folder(folder, catalog, workers=1, edge=Edge(port=port))
    server = grpc.server(ThreadPoolExecutor(4))
    process = grpc.stream_stream_rpc_method_handler(
        _admit, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
    )
    check = grpc.unary_unary_rpc_method_handler(
        _healthy, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
    )
    services = {
        "envoy.service.ext_proc.v3.ExternalProcessor": {"Process": process},
        "grpc.health.v1.Health": {"Check": check},
    }
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())
    )
    server.add_insecure_port(f"unix:{folder}/worker-0.sock")
    server.start()
    command = [str(envoy_binary()), "-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart"]
    with (folder / "envoy.log").open("wb") as log:
        envoy = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        eventually(lambda: envoy_admin.is_ready(folder / "admin.sock", installed.version, 1), "the lab's Envoy", 60)
        yield Lab(f"http://127.0.0.1:{port}", odd_vendor, channel.cluster)
    finally:
        envoy.terminate()
        envoy.wait(20)
        server.stop(None)


@pytest.mark.parametrize(
    ("way", "status", "bodies"),
    [
        ("as it is", 200, {"answer": [b'{"model": "x"}']}),
        ("changed body", 200, {"answer": [CHANGED]}),
        ("changed body without length", 503, {}),
        ("without weight", 503, {}),
    ],
)
def test_what_admits_answer_must_say(lab: Lab, way: str, status: int, bodies: dict[str, list[bytes]]) -> None:
    """A cluster of the override needs an explicit weight, and a changed body its length; else no vendor is asked."""
    assert (lab.ask(way).status_code, lab.vendor.bodies) == (status, bodies)
