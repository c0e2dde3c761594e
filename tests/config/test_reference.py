"""The JSON Schema that editors use, and the reference that is made from it. `make golden` writes both anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.config.json_schema import SPECS, json_schema
from tests.config import draft7, reference

REPOSITORY = Path(__file__).parents[2]
SCHEMAS = REPOSITORY / "config" / "schema"
REFERENCE = REPOSITORY / "docs" / "config.md"
FOLDERS = (REPOSITORY / "config", REPOSITORY / "tests/config/base", REPOSITORY / "tests/e2e/config")
GOOD = [path for folder in FOLDERS for path in sorted(folder.glob("*.yaml")) if path.stem in SPECS]
REWRITE = os.environ.get("TOLLGATE_REWRITE_GOLDEN")


class _AsAnEditorReads(yaml.SafeLoader):
    """A day is text to an editor, as it is to us."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(path: Path) -> Any:
    """A file as an editor's YAML language server has it."""
    return yaml.load(path.read_text(), _AsAnEditorReads)


@pytest.mark.parametrize("file", SPECS)
def test_the_schema_in_the_repository_is_that_of_the_code(file: str) -> None:
    """What editors check by is what `tollgate check` checks by."""
    path, text = SCHEMAS / f"{file}.json", json.dumps(json_schema(file), indent=2, ensure_ascii=False) + "\n"
    if REWRITE:
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("file", SPECS)
def test_the_example_names_its_schema(file: str) -> None:
    """An editor finds it by the first line, in whichever folder the repository is."""
    first = (REPOSITORY / "config" / f"{file}.yaml").read_text().partition("\n")[0]
    assert first == f"# yaml-language-server: $schema=schema/{file}.json"


def test_the_reference_is_that_of_the_code() -> None:
    """Every table of docs/config.md says what the schema says, and none is missing."""
    text = REFERENCE.read_text()
    if REWRITE:
        REFERENCE.write_text(reference.with_tables(text))
        text = REFERENCE.read_text()
    assert reference.with_tables(text) == text
    assert reference.tables_in(text) == list(reference.TABLES)


def test_every_key_is_described() -> None:
    """An editor and the reference have words for each."""
    assert reference.undescribed() == []


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_an_editor_has_nothing_against_what_is_good(path: Path) -> None:
    """The files that Tollgate accepts keep the schema too."""
    assert list(draft7.faults(json_schema(path.stem), read(path))) == []


SEEN = [
    ("channels/credential_value", "credential", "pattern"),
    ("channels/dialect", "dialect", "enum"),
    ("channels/max_concurrent_zero", "max_concurrent", "minimum"),
    ("channels/missing_fields", "", "required"),
    ("channels/name", "", "pattern"),
    ("channels/state", "state", "enum"),
    ("channels/unknown_key", "", "additionalProperties"),
    ("groups/channels_empty", "channels", "minItems"),
    ("groups/multiplier_zero", "multiplier", "exclusiveMinimum"),
    ("groups/per_try_seconds_too_long", "per_try_seconds", "maximum"),
    ("groups/weight_true", "weight", "type"),
    ("groups/weight_zero", "weight", "minimum"),
    ("models/no_price", "", "required"),
    ("models/price_negative", "input", "minimum"),
    ("models/price_text", "input", "type"),
    ("models/price_unknown_key", "price", "additionalProperties"),
]


@pytest.mark.parametrize(("fault", "at", "keyword"), SEEN)
def test_an_editor_sees_what_is_wrong_in_one_value(fault: str, at: str, keyword: str) -> None:
    """A wrong shape, a wrong word and a number out of bounds are marked while they are typed."""
    path = REPOSITORY / "tests/config/bad" / f"{fault}.yaml"
    found = list(draft7.faults(json_schema(path.parent.name), read(path)))
    assert [one for one in found if at in one and one.endswith(f": {keyword}")], found
