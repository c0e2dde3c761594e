"""A folder of YAML → one frozen `Catalog`, or a `ConfigError` that lists every fault at once.

channels.yaml    the upstreams
models.yaml      the public models and their prices
groups.yaml      which models, over which channels, at which multiplier
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from extproc.config.build import build_catalog, revision_of
from extproc.config.schema import ChannelSpec, GroupSpec, ModelSpec, Scope
from extproc.config.secrets import SecretMissing, read_secret
from extproc.config.section import Section
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """A catalog, and what an operator should know about how it came to be, one line each."""

    catalog: Catalog
    notes: list[str]


def load(folder: Path, env: Mapping[str, str], *, require_credentials: bool = True) -> Loaded:
    """Read the configuration in `folder`.

    `require_credentials=False` checks the files alone, as CI does without secrets: no credential is looked for, and
    no optional channel is left out. Raises ConfigError with one line per problem.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder")
    files = _Files(folder)
    files.check(env)
    left_out = files.check_credentials(env) if require_credentials else {}
    empty = files.check_groups_left(left_out)
    files.raise_problems()
    left = {name: spec for name, spec in files.channels.specs.items() if name not in left_out}
    notes = [f"channel {name} is left out: {why}" for name, why in left_out.items()]
    notes += [f"group {name} has no channel left" for name in empty]
    return Loaded(build_catalog(files.revision(), left, files.groups.specs, files.models.specs), notes)


def load_as_written(folder: Path) -> Catalog:
    """What the files say, with every channel and with the variables in base URLs left as they are.

    So it needs no environment, and is the same wherever it is read. Raises ConfigError with one line per problem.
    """
    files = _Files(folder)
    files.check(None)
    files.raise_problems()
    return build_catalog(files.revision(), files.channels.specs, files.groups.specs, files.models.specs)


class _Files:
    """The three files, and what only all of them together can tell."""

    def __init__(self, folder: Path) -> None:
        self.channels = Section(folder, ChannelSpec)
        self.groups = Section(folder, GroupSpec)
        self.models = Section(folder, ModelSpec)
        self._sections = (self.channels, self.groups, self.models)

    def check(self, env: Mapping[str, str] | None) -> None:
        """Check every entry, its references, and that each model of a group is served there; see `Scope` for None."""
        scope = Scope(env, channels=self.channels.names, models=self.models.names)
        self.channels.check(scope)
        self.groups.check(scope)
        self.models.check(scope)
        for name, group in self.groups.specs.items():
            self._check_served(name, group)

    def check_credentials(self, env: Mapping[str, str]) -> dict[str, str]:
        """The optional channels whose credential is missing, each with what is missing; the others are problems."""
        left_out = {}
        for name, spec in self.channels.specs.items():
            try:
                if spec.credential is not None:
                    read_secret(spec.credential, env)
            except SecretMissing as missing:
                if spec.optional:
                    left_out[name] = str(missing)
                else:
                    self.channels.report((name, "credential"), f"{missing}: {missing.remedy}, or set optional: true")
        return left_out

    def check_groups_left(self, left_out: Collection[str]) -> list[str]:
        """The groups without any channel; that all groups are so is a problem."""
        empty = [name for name, spec in self.groups.specs.items() if set(left_out).issuperset(spec.channel_names())]
        if empty and len(empty) == len(self.groups.names or ()):
            self.groups.report((), f"no group has a channel left, without {', '.join(left_out)}: set a credential")
        return empty

    def revision(self) -> str:
        """The name of what the files say, once there are no problems."""
        return revision_of({each.key: (each.document.values or {})[each.key] for each in self._sections})

    def raise_problems(self) -> None:
        """ConfigError with all of them, by file and line, if there are any."""
        problems = [problem for section in self._sections for problem in section.document.problems]
        if problems:
            problems.sort(key=lambda problem: (problem.file, problem.line))
            raise ConfigError("\n".join(map(str, problems)))

    def _check_served(self, name: str, group: GroupSpec) -> None:
        members = [self.channels.specs.get(channel) for channel in group.channel_names()]
        served = {model for spec in members if spec for model in spec.models}
        if None in members:
            return
        for index, model in enumerate(group.models or []):
            if model not in served:
                self.groups.report((name, "models", index), f"no channel of this group serves {model!r}")
