"""What `tollgate apply` reads. One file per fault in `bad_people/`; what is expected stands at its top, `# => …`."""

import shutil
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.config.load_people import load_people
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
FAULTS = sorted((HERE / "bad_people").glob("*.yaml"))
MARK = "# => "


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The example configuration: tiers and groups by name."""
    return load(REPOSITORY / "config", {}, require_credentials=False).catalog


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.stem)
def test_fault(fault: Path, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault is refused with exactly its message: file, line, path and what is wrong."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(fault, "people.yaml")
    with pytest.raises(ConfigError) as caught:
        load_people(Path("people.yaml"), catalog)
    expected = [line.removeprefix(MARK) for line in fault.read_text().splitlines() if line.startswith(MARK)]
    assert expected, "this fixture expects nothing"
    assert str(caught.value).splitlines() == expected


def test_what_is_left_out_has_its_default(catalog: Catalog, tmp_path: Path) -> None:
    """An owner, a team, a member and a key of whom only the name is there."""
    (tmp_path / "people.yaml").write_text("owners: {acme: {teams: {red: {members: {bob: }}}, keys: {ci: }}}")
    acme = load_people(tmp_path / "people.yaml", catalog)["acme"]
    red, ci = acme.teams["red"], acme.keys["ci"]
    assert (acme.tier, acme.discount, acme.status) == ("default", 1_000_000, "active")
    assert (red.title, red.quota, red.members["bob"].role, red.members["bob"].quota) == ("", -1, "member", -1)
    assert (ci.group, ci.cap, ci.monthly_limit, ci.concurrency, ci.expires) == ("default", 0, 0, 100, 0)
    assert (ci.requests_per_minute, ci.tokens_per_minute, ci.status) == (None, None, "active")


def test_what_is_written_is_read_exactly(catalog: Catalog, tmp_path: Path) -> None:
    """Money to the nano, times to the millisecond, networks as they are kept."""
    (tmp_path / "people.yaml").write_text(
        "owners: {acme: {discount: 0.9, teams: {red: {quota: 0}}, keys: {"
        "a: {cap: 0.000000001, monthly_limit: none, expires: 2026-12-31, allowed_ips: [10.0.0.1]},"
        "b: {expires: '2026-12-31T18:00+01:00', allowed_models: ['gpt-5*']}}}}"
    )
    acme = load_people(tmp_path / "people.yaml", catalog)["acme"]
    a, b = acme.keys["a"], acme.keys["b"]
    assert (acme.discount, acme.teams["red"].quota) == (900_000, 0)
    assert (a.cap, a.monthly_limit, a.expires, a.allowed_ips) == (1, 0, 1_798_675_200_000, ["10.0.0.1/32"])
    assert (b.expires, b.allowed_models) == (1_798_736_400_000, ["gpt-5*"])


def test_a_folder_is_all_of_its_files(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner stands in one of them; a folder without any is a fault."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^\.: there is no \*\.yaml in it$"):
        load_people(Path(), catalog)
    Path("a.yaml").write_text("owners: {acme: {}}")
    Path("b.yaml").write_text("owners: {umbrella: {}}")
    assert list(load_people(Path(), catalog)) == ["acme", "umbrella"]
    Path("b.yaml").write_text("owners:\n  umbrella: {}\n  acme: {}")
    with pytest.raises(ConfigError, match=r"^b\.yaml:3: owners\.acme: this owner is already in a\.yaml$"):
        load_people(Path(), catalog)


def test_without_a_catalog_any_tier_and_group_will_do(tmp_path: Path) -> None:
    """The gateway elsewhere knows them."""
    (tmp_path / "people.yaml").write_text("owners: {acme: {tier: gold, keys: {ci: {group: nobody-knows}}}}")
    assert load_people(tmp_path / "people.yaml", None)["acme"].tier == "gold"


def test_the_example_is_right(catalog: Catalog) -> None:
    """What `deploy/` has to begin with."""
    assert load_people(REPOSITORY / "deploy" / "people.example.yaml", catalog)
