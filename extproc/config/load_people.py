"""Files of owners → what they declare, or a `ConfigError` that lists every fault at once."""

from collections.abc import Mapping
from pathlib import Path

from extproc.config.people import Known, OwnerSpec
from extproc.config.section import Section
from extproc.core.catalog import DEFAULT_TIER, Catalog
from extproc.errors import ConfigError


def load_people(path: Path, catalog: Catalog | None) -> Mapping[str, OwnerSpec]:
    """The owners in a file, or in all files `*.yaml` of a folder. Without a catalog any tier or group will do.

    Raises ConfigError with one line per problem.
    """
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{path}: there is no *.yaml in it")
    sections = [Section(file, OwnerSpec) for file in files]
    for section in sections:
        section.check(Known({*catalog.tiers, DEFAULT_TIER}, catalog.groups) if catalog else Known())
        _check_places(section, catalog)
    _check_twice(sections)
    problems = [problem for section in sections for problem in section.document.problems]
    if problems:
        problems.sort(key=lambda problem: (problem.file, problem.line))
        raise ConfigError("\n".join(map(str, problems)))
    return {name: spec for section in sections for name, spec in section.specs.items()}


def _check_places(section: Section[OwnerSpec], catalog: Catalog | None) -> None:
    for owner, spec in section.specs.items():
        for name, field, wrong in spec.misplaced():
            section.report((owner, "keys", name, field), wrong)
        for name, key in spec.keys.items():
            for group in (key.group, *key.fallback_groups):
                if catalog and group in catalog.groups and not catalog.allows(spec.tier, group):
                    section.report((owner, "keys", name), f"the tier {spec.tier} does not have the group {group}")


def _check_twice(sections: list[Section[OwnerSpec]]) -> None:
    first: dict[str, str] = {}
    for section in sections:
        for name in section.names or ():
            if name in first:
                section.report((name,), f"this owner is already in {first[name]}")
            first.setdefault(name, str(section.document.file))
