"""The accepted catalog, from the parent to the workers."""

import asyncio
import gc
import os
import pickle
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError
from extproc.snapshot import Accepted, Adopted, Current, publish, read_accepted, read_adopted

EXAMPLE = Path(__file__).parents[1] / "config"


def catalog(revision: str = "r1") -> Catalog:
    """A catalog without anything."""
    return Catalog.of(revision, {}, {}, {})


def test_what_arrives_is_what_was_published(tmp_path: Path) -> None:
    """The example's catalog comes back equal, still frozen, and each channel is still one object in every group."""
    sent = load(EXAMPLE, {}, require_credentials=False).catalog
    publish(tmp_path, Accepted(sent, 7))
    arrived = read_accepted(tmp_path)
    assert arrived == Accepted(sent, 7)
    assert type(arrived.catalog.channels) is type(sent.channels)
    members = arrived.catalog.groups["default"].members
    assert all(member.channel is arrived.catalog.channels[member.channel.name] for member in members)


def test_without_an_accepted_catalog_a_worker_does_not_start(tmp_path: Path) -> None:
    """It has nothing to decide by, whatever the folder of the YAML says."""
    with pytest.raises(ConfigError, match="no catalog is accepted yet"):
        Current(tmp_path, 0)


def test_a_worker_changes_over_and_says_so(tmp_path: Path) -> None:
    """Each look finds what was published last; what the worker decides by is in its file before the look is over."""
    publish(tmp_path, Accepted(catalog("r1"), 1))
    assert read_adopted(tmp_path, 3) is None
    current = Current(tmp_path, 3)
    assert (current.catalog.revision, read_adopted(tmp_path, 3)) == ("r1", Adopted(os.getpid(), "r1", 1))
    assert current.look() is False
    publish(tmp_path, Accepted(catalog("r2"), 2))
    assert current.catalog.revision == "r1"
    assert current.look() is True
    assert (current.catalog.revision, read_adopted(tmp_path, 3)) == ("r2", Adopted(os.getpid(), "r2", 2))


def test_what_a_worker_adopts_is_left_alone_by_the_collector(tmp_path: Path) -> None:
    """So a catalog must go by itself when it is replaced: a cycle in one would stay in memory at every reload."""
    publish(tmp_path, Accepted(load(EXAMPLE, {}, require_credentials=False).catalog, 1))
    try:
        Current(tmp_path, 0)
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
    arrived = read_accepted(tmp_path)
    gc.collect()
    gc.disable()
    try:
        del arrived
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_a_worker_that_follows_survives_what_it_cannot_read(tmp_path: Path) -> None:
    """It stays with what it has, and changes over to the next one."""
    publish(tmp_path, Accepted(catalog("r1"), 1))
    current = Current(tmp_path, 0)
    following = asyncio.create_task(current.follow())
    (tmp_path / "accepted").write_bytes(b"no catalog")
    with pytest.raises(pickle.UnpicklingError):
        current.look()
    assert current.catalog.revision == "r1"
    publish(tmp_path, Accepted(catalog("r2"), 2))
    async with asyncio.timeout(20):
        while current.catalog.revision != "r2":
            await asyncio.sleep(0)
    assert not following.done()
    following.cancel()
