"""The order in which an edit goes live, whatever else happens meanwhile.

The folder of the YAML, the published catalog and the workers' words are files, as in real life; Envoy is a model of
itself, which takes up what it is given when the test says so. That the real one does is in `tests/e2e/test_reload.py`.
"""

import asyncio
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from extproc.compiler.install import Installed
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError
from extproc.reload import AGAIN_SECONDS, KEEP_SECONDS, Reload
from extproc.settings import make_settings
from extproc.snapshot import Current

WORKERS = 2

Content = dict[str, Any]


def content(urls: dict[str, str], price: int = 1) -> Content:
    """Channels at these URLs, all in one group, and a model at this price."""
    channels: Content = {
        name: {"dialect": "openai", "base_url": f"http://{url}.test/v1", "models": {"chat": None}}
        for name, url in urls.items()
    }
    for name in channels.keys() & {"c"}:
        channels[name]["max_concurrent"] = 3  # which makes it two clusters
    return {
        "channels": channels,
        "models": {"chat": {"price": {"input": price, "output": 1}, "max_output_tokens": 10}},
        "groups": {"default": {"channels": [{"channel": name} for name in urls]}},
    }


def clusters_of(catalog: Catalog) -> Iterator[str]:
    """All that its requests may come by."""
    for channel in catalog.channels.values():
        yield from channel.clusters


class Model:
    """An Envoy: the clusters it was given last, those it has, and a cluster's name that it refuses."""

    def __init__(self) -> None:
        self.given = self.has = Installed("0", frozenset())
        self.refuses = ""

    def put(self, catalog: Catalog, drop: Collection[str] = ()) -> Installed:
        """Keep it for later."""
        asked = set(clusters_of(catalog))
        if self.refuses and any(self.refuses in name for name in asked):
            raise ConfigError("Envoy refuses it")
        self.given = Installed(str(int(self.given.version) + 1), (self.given.clusters - set(drop)) | asked)
        return self.given

    def taken_up(self, version: str) -> bool:
        """Whether it has that."""
        return self.has.version == version


class Deployment:
    """A reload with its folder, its Envoy, its workers and its clock."""

    def __init__(self, folder: Path, begin: Content) -> None:
        (folder / "config").mkdir()
        self.settings = make_settings(folder / "config", folder / "data", None, workers=WORKERS)
        self.settings.run.mkdir(parents=True)
        self.write(begin)
        self.envoy, self.now = Model(), 0.0
        loaded = load(self.settings.config, {})
        installed = self.envoy.has = self.envoy.put(loaded.catalog)
        self.reload = Reload(self.settings, loaded, installed, self.envoy, lambda: self.now)
        self.workers: dict[int, Current] = {}
        for index in range(WORKERS):
            self.start(index)

    def write(self, said: Content) -> None:
        """Edit the folder."""
        for name, entries in said.items():
            (self.settings.config / f"{name}.yaml").write_text(json.dumps({name: entries}))

    def start(self, index: int) -> None:
        """Start a worker, or start it again."""
        self.workers[index] = Current(self.settings.run, index)

    def step(self) -> None:
        """Two looks: the first sees that something moves, the second that nothing does any more."""
        asyncio.run(self._two_steps())

    async def _two_steps(self) -> None:
        for _ in range(2):
            await self.reload.step()

    def settle(self) -> None:
        """Let everybody do all that there is to do."""
        for _ in range(3):
            self.step()
            self.envoy.has = self.envoy.given
            self.step()
            for worker in self.workers.values():
                worker.look()
        self.step()

    def used(self) -> set[str]:
        """The clusters that workers hand out."""
        return {name for worker in self.workers.values() for name in clusters_of(worker.catalog)}

    def told(self) -> dict[str, Any]:
        """What `status` is told."""
        told: dict[str, Any] = json.loads((self.settings.run / "live.json").read_bytes())
        return told

    def revision(self) -> str:
        """What the folder says."""
        return load(self.settings.config, {}).catalog.revision


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """One with channels a and b, where the first look has already been."""
    deployment = Deployment(tmp_path, content({"a": "one", "b": "two"}))
    deployment.settle()
    return deployment


def test_workers_change_over_when_envoy_has_the_clusters(deployment: Deployment) -> None:
    """Not before; until then the edit is said to wait."""
    before = deployment.told()["revision"]
    deployment.write(content({"a": "one", "c": "three"}))
    for _ in range(3):
        deployment.step()
        assert [worker.look() for worker in deployment.workers.values()] == [False, False]
    assert (deployment.told()["revision"], deployment.told()["waiting_revision"]) == (before, deployment.revision())
    deployment.envoy.has = deployment.envoy.given
    deployment.step()
    assert [worker.look() for worker in deployment.workers.values()] == [True, True]
    assert (deployment.told()["revision"], deployment.told()["waiting_revision"]) == (deployment.revision(), None)


def test_old_clusters_stay_as_long_as_a_request_may_live(deployment: Deployment) -> None:
    """From when the last worker has changed over; one that does not change over keeps them all."""
    (gone,) = {name for name in deployment.used() if "channel_b" in name}
    deployment.write(content({"a": "one"}))
    deployment.step()
    deployment.envoy.has = deployment.envoy.given
    deployment.step()
    deployment.workers[0].look()
    deployment.step()
    deployment.now += 2 * KEEP_SECONDS
    deployment.step()
    assert gone in deployment.envoy.given.clusters
    deployment.workers[1].look()
    deployment.step()
    deployment.now += KEEP_SECONDS
    deployment.step()
    assert gone in deployment.envoy.given.clusters
    deployment.now += 1
    deployment.step()
    assert deployment.envoy.given.clusters == deployment.used()


def test_a_cluster_that_comes_back_is_not_dropped(deployment: Deployment) -> None:
    """Its hour begins anew when it is gone again."""
    both = deployment.used()
    for said in (content({"a": "one"}), content({"a": "one", "b": "two"}), content({"a": "one"})):
        deployment.write(said)
        deployment.settle()
        assert deployment.envoy.given.clusters == both
        deployment.now += KEEP_SECONDS - 1
    deployment.now += 2
    deployment.settle()
    assert deployment.envoy.given.clusters == deployment.used() < both


def test_what_envoy_refuses_is_a_broken_edit(deployment: Deployment) -> None:
    """Nothing changes, and it is told; when Envoy accepts it, it goes live without another edit."""
    before, revision = deployment.envoy.given, deployment.told()["revision"]
    deployment.envoy.refuses = "channel_c"
    deployment.write(content({"c": "three"}))
    deployment.settle()
    assert (deployment.envoy.given, deployment.told()["revision"]) == (before, revision)
    assert deployment.told()["problems"] == ["Envoy refuses it"]
    deployment.envoy.refuses = ""
    deployment.settle()
    assert deployment.told()["revision"] == revision
    deployment.now += AGAIN_SECONDS
    deployment.settle()
    assert (deployment.told()["revision"], deployment.told()["problems"]) == (deployment.revision(), [])


def test_an_edit_that_is_taken_back_leaves_no_trace(deployment: Deployment) -> None:
    """A broken edit and then the old text: the same revision is live, since the same moment."""
    before = deployment.told()
    deployment.write({"groups": {}})
    deployment.settle()
    assert deployment.told()["problems"]
    deployment.write(content({"a": "one", "b": "two"}))
    deployment.settle()
    assert deployment.told() == before


def test_an_edit_that_waits_long_keeps_its_clusters(deployment: Deployment) -> None:
    """Nobody hands them out while Envoy is away, and yet they are there when it comes back."""
    deployment.write(content({"c": "three"}))
    deployment.step()
    for _ in range(2):
        deployment.now += KEEP_SECONDS + 1
        deployment.step()
    deployment.settle()
    assert deployment.told()["revision"] == deployment.revision()
    assert deployment.used() <= deployment.envoy.has.clusters


def test_an_edit_that_waits_can_be_taken_back(deployment: Deployment) -> None:
    """While Envoy is away the old text comes back: the edit never goes live."""
    before = deployment.told()["revision"]
    deployment.write(content({"c": "three"}))
    deployment.step()
    deployment.write(content({"a": "one", "b": "two"}))
    deployment.settle()
    assert {worker.catalog.revision for worker in deployment.workers.values()} == {before}
    assert deployment.told()["waiting_revision"] is None


def test_an_edit_that_waits_is_overtaken_by_the_next(deployment: Deployment) -> None:
    """While Envoy is away a second edit comes: that one goes live, and the first never does."""
    deployment.write(content({"c": "three"}))
    deployment.step()
    first = deployment.told()["waiting_revision"]
    deployment.write(content({"d": "four"}))
    deployment.settle()
    assert deployment.told()["revision"] == deployment.revision() != first
    assert {worker.catalog.revision for worker in deployment.workers.values()} == {deployment.revision()}


class AnyOrder(RuleBasedStateMachine):
    """Edits, good and broken, looks of each worker, deaths, an Envoy that takes its time, hours that pass."""

    @initialize()
    def begin(self) -> None:
        """One channel."""
        self.folder = TemporaryDirectory(prefix="tollgate-")
        self.deployment = Deployment(Path(self.folder.name), content({"a": "one"}))
        self.last_used: dict[str, float] = {}
        self.broken = False

    def teardown(self) -> None:
        """Everything comes to rest at what the folder says, or at what was accepted last."""
        if hasattr(self, "folder"):
            deployment = self.deployment
            deployment.settle()
            if not self.broken:
                assert deployment.told()["revision"] == deployment.revision()
            assert bool(deployment.told()["problems"]) is self.broken
            assert {worker.catalog.revision for worker in deployment.workers.values()} == {
                deployment.told()["revision"]
            }
            deployment.now += KEEP_SECONDS + 1
            deployment.settle()
            assert deployment.envoy.given.clusters == deployment.used()
            self.folder.cleanup()

    @rule(
        urls=st.dictionaries(st.sampled_from("abc"), st.sampled_from(["one", "two"]), min_size=1),
        price=st.sampled_from([1, 2]),
    )
    def edit(self, urls: dict[str, str], price: int) -> None:
        """Say something else."""
        self.deployment.write(content(urls, price))
        self.broken = False

    @rule()
    def break_it(self) -> None:
        """Name a channel that is not there."""
        self.deployment.write({"groups": {"default": {"channels": [{"channel": "nobody"}]}}})
        self.broken = True

    @rule()
    def follow(self) -> None:
        """The parent looks."""
        self.deployment.step()

    @rule()
    def take_up(self) -> None:
        """Envoy reads the file."""
        self.deployment.envoy.has = self.deployment.envoy.given

    @rule(index=st.integers(0, WORKERS - 1))
    def look(self, index: int) -> None:
        """A worker looks."""
        self.deployment.workers[index].look()

    @rule(index=st.integers(0, WORKERS - 1))
    def restart(self, index: int) -> None:
        """A worker dies and is started again."""
        self.deployment.start(index)

    @rule(share=st.sampled_from([0.01, 0.6, 1.1]))
    def wait(self, share: float) -> None:
        """Time passes."""
        self.deployment.now += share * KEEP_SECONDS

    @precondition(lambda self: hasattr(self, "folder"))
    @invariant()
    def every_request_finds_its_clusters(self) -> None:
        """Envoy has every cluster that a worker hands out, or has handed out to a request that may still live."""
        now = self.deployment.now
        self.last_used |= dict.fromkeys(self.deployment.used(), now)
        needed = {name for name, last in self.last_used.items() if now - last <= KEEP_SECONDS}
        assert needed <= self.deployment.envoy.has.clusters


AnyOrder.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestAnyOrder = AnyOrder.TestCase
