"""Families of models: a name in which `*` stands for any text, also for none.

A channel serves a family, a group offers one. It ranges over the models of `models.yaml`, which all have a price.
"""

from collections.abc import Collection, Iterator, Mapping

STAR = "*"


def is_family(name: str) -> bool:
    """Whether this names a family and not one model."""
    return STAR in name


def fitting(family: str, models: Collection[str]) -> dict[str, str]:
    """The models of a family, each with what the star stands for in it. A second star fits nothing.

    >>> fitting("gpt-5*", ["gpt-5", "gpt-5-mini", "o3"])
    {'gpt-5': '', 'gpt-5-mini': '-mini'}
    """
    before, _, after = family.partition(STAR)
    fixed = len(before) + len(after)
    fits = (model for model in models if len(model) >= fixed and model.startswith(before) and model.endswith(after))
    return {model: model[len(before) : len(model) - len(after)] for model in fits}


def chosen(names: Collection[str], models: Collection[str]) -> set[str]:
    """The models that these names and families are."""
    return {model for name in names for model in (fitting(name, models) if is_family(name) else [name])}


def vendor_names(written: Mapping[str, str | None], models: Collection[str]) -> dict[str, str]:
    """Model → the vendor's name, for all that a channel serves.

    A name counts before a family, and a longer family before a shorter one. In a family's vendor name the star is what
    it stands for; without a vendor name it is the model's own.
    """
    found: dict[str, str] = {}
    for family in sorted(filter(is_family, written), key=len):
        vendor = written[family]
        for model, star in fitting(family, models).items():
            found[model] = model if vendor is None else vendor.replace(STAR, star)
    return found | {name: vendor or name for name, vendor in written.items() if not is_family(name)}


def rivals(written: Collection[str], models: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Two families of one channel that are equally long, and a model that fits both and is not named by itself."""
    families = sorted(filter(is_family, written), key=lambda family: (len(family), family))
    for index, family in enumerate(families):
        for other in families[:index]:
            both = fitting(family, models).keys() & fitting(other, models).keys() - set(written)
            if both and len(family) == len(other):
                yield family, other, min(both)
