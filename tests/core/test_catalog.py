"""A catalog cannot change under a request, and tells where a secret is, never what it is."""

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest

from extproc.core.catalog import Catalog, Member, SecretRef
from tests.core.samples import MODEL, catalog, channel, group

MAPPINGS = ["channels", "models", "groups"]


@pytest.mark.parametrize("name", MAPPINGS)
def test_nothing_can_be_put_into_a_catalog(name: str) -> None:
    """The mappings of a snapshot refuse to be written to."""
    snapshot = catalog(group("main", Member(channel("a", "gpt"), 0, 1)))
    with pytest.raises(TypeError):
        cast("Any", getattr(snapshot, name))["new"] = None


def test_a_catalog_is_a_copy() -> None:
    """What happens to the mappings it was made from does not reach a snapshot."""
    models = {"gpt": MODEL}
    snapshot = Catalog.of("rev1", {}, models, {})
    models.clear()
    assert snapshot.models["gpt"] is MODEL


@pytest.mark.parametrize("name", [*MAPPINGS, "revision"])
def test_no_part_of_a_catalog_can_be_replaced(name: str) -> None:
    """A snapshot is frozen."""
    with pytest.raises(FrozenInstanceError):
        setattr(catalog(), name, {})


@pytest.mark.parametrize("text", ["env:OPENAI_API_KEY", "file:secrets/openai"])
def test_a_secret_reference_shows_as_it_was_written(text: str) -> None:
    """A reference prints as `scheme:name`."""
    assert str(SecretRef(*text.split(":"))) == text
