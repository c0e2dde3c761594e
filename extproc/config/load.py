"""A folder of YAML → one frozen `Catalog`, or a `ConfigError` that lists every fault at once.

channels.yaml    the upstreams
models.yaml      the public models and their prices
groups.yaml      which models, over which channels, at which multiplier
tiers.yaml       which groups an owner's keys may have; without the file, any
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from extproc.config.build import build_catalog, revision_of
from extproc.config.schema import ChannelSpec, ChannelState, GroupSpec, ModelSpec, OwnerTierSpec, Scope, is_vendor_model
from extproc.config.secrets import SecretMissing, read_secret
from extproc.config.section import Section
from extproc.core.catalog import DEFAULT_TIER, Catalog
from extproc.core.families import STAR, chosen, rivals, vendor_names
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
    left_out = dict.fromkeys(files.channels_that_are(ChannelState.DISABLED), "it is disabled")
    if require_credentials:
        left_out |= files.check_credentials(env)
    drained = files.channels_that_are(ChannelState.DRAINED)
    files.check_channels_left(left_out)
    files.raise_problems()
    left = {name: spec for name, spec in files.channels.specs.items() if name not in left_out}
    notes = [f"channel {name} is left out: {why}" for name, why in left_out.items()]
    notes += [f"channel {name} is drained: it gets no new request" for name in drained]
    notes += [f"channel {name} is not safe: insecure_tls" for name, spec in left.items() if spec.insecure_tls]
    notes += [f"group {name} has no channel left" for name in files.groups_without({*left_out, *drained})]
    return Loaded(files.catalog(left), notes)


def load_as_written(folder: Path) -> Catalog:
    """What the files say, with every channel and with the variables in base URLs left as they are.

    So it needs no environment, and is the same wherever it is read. Raises ConfigError with one line per problem.
    """
    files = _Files(folder)
    files.check(None)
    files.raise_problems()
    return files.catalog(files.channels.specs)


class _Files:
    """The files, and what only all of them together can tell."""

    def __init__(self, folder: Path) -> None:
        self.channels = Section(folder / "channels.yaml", ChannelSpec)
        self.groups = Section(folder / "groups.yaml", GroupSpec)
        self.models = Section(folder / "models.yaml", ModelSpec)
        tiers = folder / "tiers.yaml"
        self.tiers = Section(tiers, OwnerTierSpec) if tiers.exists() else None
        sections = (self.channels, self.groups, self.models, self.tiers)
        self._sections = [section for section in sections if section is not None]

    def check(self, env: Mapping[str, str] | None) -> None:
        """Check every entry, its references, and that each model of a group is served there; see `Scope` for None."""
        scope = Scope(env, channels=self.channels.names, models=self.models.names)
        self.models.check(scope)
        scope = replace(scope, aliases=self._check_aliases())
        self.channels.check(scope)
        self.groups.check(scope)
        self._check_tiers(replace(scope, groups=self.groups.names))
        for name, channel in self.channels.specs.items():
            self._check_vendor_names(name, channel)
        for name, group in self.groups.specs.items():
            self._check_served(name, group)
            self._check_dialect(name, group)

    def channels_that_are(self, state: ChannelState) -> list[str]:
        """The names of the channels in this state."""
        return [name for name, spec in self.channels.specs.items() if spec.state is state]

    def check_credentials(self, env: Mapping[str, str]) -> dict[str, str]:
        """The optional channels whose credential is missing, each with what is missing; the others are problems.

        What is disabled needs none.
        """
        left_out = {}
        for name, spec in self.channels.specs.items():
            try:
                if spec.credential is not None and spec.state is not ChannelState.DISABLED:
                    read_secret(spec.credential, env)
            except SecretMissing as missing:
                if spec.optional:
                    left_out[name] = str(missing)
                else:
                    self.channels.report((name, "credential"), f"{missing}: {missing.remedy}, or set optional: true")
        return left_out

    def check_channels_left(self, left_out: Collection[str]) -> None:
        """That no group has a channel is a problem."""
        empty = self.groups_without(left_out)
        if empty and len(empty) == len(self.groups.names or ()):
            disabled = set(left_out).issubset(self.channels_that_are(ChannelState.DISABLED))
            remedy = "enable one" if disabled else "set a credential"
            self.groups.report((), f"no group has a channel left, without {', '.join(left_out)}: {remedy}")

    def groups_without(self, channels: Collection[str]) -> list[str]:
        """The groups that have no other channel than these."""
        return [name for name, spec in self.groups.specs.items() if set(channels).issuperset(spec.channel_names())]

    def catalog(self, channels: Mapping[str, ChannelSpec]) -> Catalog:
        """The catalog of these channels, once there are no problems."""
        revision = revision_of({each.key: (each.document.values or {})[each.key] for each in self._sections})
        tiers = self.tiers.specs if self.tiers else {}
        return build_catalog(revision, channels, self.groups.specs, self.models.specs, tiers)

    def raise_problems(self) -> None:
        """ConfigError with all of them, by file and line, if there are any."""
        problems = [problem for section in self._sections for problem in section.document.problems]
        if problems:
            problems.sort(key=lambda problem: (problem.file, problem.line))
            raise ConfigError("\n".join(map(str, problems)))

    def _check_served(self, name: str, group: GroupSpec) -> None:
        members = [self.channels.specs.get(channel) for channel in group.channel_names()]
        if None in members or self.models.names is None:
            return
        served = {model for spec in members if spec for model in vendor_names(spec.models, self.models.names)}
        for index, model in enumerate(group.models or []):
            if not served & chosen([model], self.models.names):
                self.groups.report((name, "models", index), f"no channel of this group serves {model!r}")

    def _check_aliases(self) -> dict[str, str]:
        """Alias → model; one that is a name already is a problem."""
        found: dict[str, str] = {}
        for name, spec in self.models.specs.items():
            for index, alias in enumerate(spec.aliases):
                if alias in (self.models.names or ()):
                    self.models.report((name, "aliases", index), f"{alias!r} is a model already")
                elif alias in found:
                    self.models.report((name, "aliases", index), f"{alias!r} is an alias of {found[alias]!r} already")
                found.setdefault(alias, name)
        return found

    def _check_tiers(self, scope: Scope) -> None:
        if self.tiers is None:
            return
        self.tiers.check(scope)
        if self.tiers.names and DEFAULT_TIER not in self.tiers.names:
            self.tiers.report((), f"there is no tier {DEFAULT_TIER!r}: it is that of owners who were given no other")

    def _check_vendor_names(self, name: str, channel: ChannelSpec) -> None:
        """Each model that a channel serves has one vendor name, and it is one."""
        models = self.models.names or ()
        for family, other, model in rivals(channel.models, models):
            text = f"{model!r} fits {other!r} as well, which is as long: give that model a line of its own"
            self.channels.report((name, "models", family), text)
        starred = {written: vendor for written, vendor in channel.models.items() if vendor and STAR in vendor}
        for written, vendor in starred.items():
            for model, vendor_model in vendor_names({written: vendor}, models).items():
                named_elsewhere = model in channel.models and model != written
                if not named_elsewhere and not is_vendor_model(vendor_model):
                    text = f"the vendor's name for {model!r} would be {vendor_model!r}, which is none"
                    self.channels.report((name, "models", written), text)

    def _check_dialect(self, name: str, group: GroupSpec) -> None:
        for index, channel in enumerate(group.channel_names()):
            spec = self.channels.specs.get(channel)
            if spec and group.dialect and spec.dialect is not group.dialect:
                text = f"{channel} speaks {spec.dialect}, and this group is bound to {group.dialect}"
                self.groups.report((name, "channels", index, "channel"), text)
