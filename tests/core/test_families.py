"""A family is a name with a star: which models it is, and what a vendor calls them."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.families import chosen, fitting, rivals, vendor_names
from tests.core.samples import steady

MODELS = ["gpt-5", "gpt-5-mini", "gpt-5-mini-fast", "o3", "openrouter/x/y", "openrouter/z:free"]

names = st.text("ab-", min_size=1, max_size=5)
families = st.builds("{}*{}".format, st.text("ab-", max_size=3), st.text("ab-", max_size=3))
models = st.lists(names, max_size=8, unique=True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"gpt-5*": None}, {"gpt-5": "gpt-5", "gpt-5-mini": "gpt-5-mini", "gpt-5-mini-fast": "gpt-5-mini-fast"}),
        ({"openrouter/*": "*"}, {"openrouter/x/y": "x/y", "openrouter/z:free": "z:free"}),
        ({"gpt-5-mini*": "v/m*@*"}, {"gpt-5-mini": "v/m@", "gpt-5-mini-fast": "v/m-fast@-fast"}),
        ({"*-mini": "big*", "gpt-5-mini": "five"}, {"gpt-5-mini": "five"}),
        (
            {"*": "else", "gpt-5-mini*": "mini", "gpt-5*": "five"},
            {
                "gpt-5": "five",
                "gpt-5-mini": "mini",
                "gpt-5-mini-fast": "mini",
                "o3": "else",
                "openrouter/x/y": "else",
                "openrouter/z:free": "else",
            },
        ),
        ({"o3": None, "gpt*-nano": "x"}, {"o3": "o3"}),
        ({"g*-*": None}, {}),
    ],
)
def test_what_a_channel_serves(written: dict[str, str | None], expected: dict[str, str]) -> None:
    """A name counts before a family, a longer family before a shorter one, however they are ordered in the file."""
    assert vendor_names(written, MODELS) == expected
    assert vendor_names(dict(reversed(written.items())), MODELS) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["gpt-5*", "*mini"], []),
        (["gpt*", "*ini"], [("gpt*", "*ini", "gpt-5-mini")]),
        (["gpt*", "*ini", "gpt-5-mini"], []),
        (["gpt*", "*ini", "gpt-5*"], [("gpt*", "*ini", "gpt-5-mini")]),
        (["gpt*", "o3*"], []),
    ],
)
def test_families_of_which_none_comes_first(written: list[str], expected: list[tuple[str, str, str]]) -> None:
    """Two that are equally long and share a model are told of, unless the model is named by itself."""
    assert list(rivals(written, MODELS)) == expected


@steady
@given(families, models)
def test_a_star_is_any_text(family: str, known: list[str]) -> None:
    """A family is what a shell would find by it, and the star stands for what is left of the name."""
    found = fitting(family, known)
    assert list(found) == [name for name in known if fnmatchcase(name, family)]
    assert all(family.replace("*", star) == name for name, star in found.items())


@steady
@given(st.dictionaries(names | families, st.none() | st.just("v-*"), max_size=5), models)
def test_a_channel_serves_what_its_names_and_families_are(written: dict[str, str | None], known: list[str]) -> None:
    """What it is asked for under a vendor's name is what a group would offer that lists the same."""
    assert vendor_names(written, known).keys() == chosen(written, known)
