"""The chain keeps its order and its terms; what is not listed is not callable."""

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Catalog, Channel, Dialect, Group, Member, Model, Operation
from extproc.core.chain import MAX_ATTEMPTS, Attempt, build_chain, visible_models
from extproc.core.pricing import FREE, Price, Rates, Terms, UnitKind, UnitPrice, UnitRate
from extproc.dialects import routes
from tests.core.samples import RATES, catalog, channel, group, steady

OPERATIONS = [value for value in vars(routes).values() if isinstance(value, Operation)]
NAMES = ["m0", "m1", "m2", "m3"]
GROUPS = ["g0", "g1", "g2"]


class Scripted(random.Random):
    """Draws what the test says."""

    def __init__(self, *draws: float) -> None:
        super().__init__(0)
        self.draws = list(draws)

    def random(self) -> float:
        """The next number of the script."""
        return self.draws.pop(0)


def chain_of(
    *groups: Group, model: str = "gpt", operation: Operation = routes.CHAT, draw: random.Random | None = None
) -> tuple[Attempt, ...]:
    """The chain of a key that has these groups, in this order."""
    names = [each.name for each in groups]
    return build_chain(catalog(*groups), names, model, operation, draw or random.Random(1))


def names_of(chain: Sequence[Attempt]) -> str:
    """The chain's channels: `a b c`."""
    return " ".join(attempt.channel.name for attempt in chain)


A, B, C = (channel(name, "gpt", vendor=f"{name}-") for name in "abc")
CLAUDE = channel("claude", "gpt", dialect=Dialect.ANTHROPIC)
OTHER = channel("other", "another")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param([group("main", Member(A, 0, 1))], "a", id="one channel"),
        pytest.param(
            [group("main", Member(A, 1, 9), Member(B, 0, 1))], "b a", id="lower priority first, not the weight"
        ),
        pytest.param(
            [group("main", Member(A, 7, 1), Member(B, 5, 1), Member(C, 6, 1))], "b c a", id="three priorities"
        ),
        pytest.param(
            [group("main", Member(A, 9, 1)), group("spare", Member(B, 0, 1))], "a b", id="the key's own group first"
        ),
        pytest.param(
            [group("main", Member(A, 0, 1)), group("s1", Member(B, 0, 1)), group("s2", Member(C, 0, 1))],
            "a b c",
            id="fallback groups in the key's order",
        ),
        pytest.param(
            [group("main", Member(A, 0, 1)), group("spare", Member(A, 0, 1), Member(B, 1, 1))],
            "a b",
            id="a channel in two groups once",
        ),
        pytest.param([group("main", Member(A, 0, 1), Member(CLAUDE, 0, 1))], "a", id="another dialect is left out"),
        pytest.param([group("main", Member(CLAUDE, 0, 1))], "", id="only another dialect"),
        pytest.param(
            [group("main", Member(CLAUDE, 0, 1)), group("spare", Member(A, 0, 1))],
            "",
            id="a fallback group cannot add a dialect",
        ),
        pytest.param([group("main", Member(A, 0, 1), Member(OTHER, 0, 1))], "a", id="a channel without the model"),
        pytest.param([group("main", Member(A, 0, 1), models="another")], "", id="the group does not list the model"),
        pytest.param(
            [group("main", Member(A, 0, 1), models="another"), group("spare", Member(B, 0, 1))],
            "",
            id="a fallback group cannot add a model",
        ),
        pytest.param(
            [group("main", Member(A, 0, 1)), group("spare", Member(B, 0, 1), models="another")],
            "a",
            id="a fallback group lends only the models it lists",
        ),
        pytest.param(
            [group("main", Member(OTHER, 0, 1)), group("spare", Member(B, 0, 1))], "", id="listed but served by none"
        ),
        pytest.param([group("main")], "", id="no channel at all"),
    ],
)
def test_the_order_of_a_chain(groups: list[Group], expected: str) -> None:
    """These groups of a key give this chain, whatever is drawn."""
    assert names_of(chain_of(*groups)) == expected


def test_a_channel_has_the_terms_of_the_first_group_that_names_it() -> None:
    """A fallback group's multiplier counts for the channels it adds, not for those that were there."""
    chain = chain_of(
        group("main", Member(A, 0, 1), multiplier_ppm=2_000_000),
        group("spare", Member(A, 0, 1), Member(B, 1, 1), multiplier_ppm=500_000),
    )
    assert chain == (
        Attempt(A, "main", 2_000_000, "a-gpt"),
        Attempt(B, "spare", 500_000, "b-gpt"),
    )


def test_a_chain_is_cut_at_the_most_attempts_envoy_makes() -> None:
    """The sixth channel is never asked, and those before it keep their order."""
    members = [Member(channel(f"c{n}", "gpt"), n, 1) for n in range(MAX_ATTEMPTS + 1)]
    assert names_of(chain_of(group("main", *members))) == "c0 c1 c2 c3 c4"


@pytest.mark.parametrize("first", ["nowhere", ""])
def test_a_key_of_an_unknown_group_has_no_models(first: str) -> None:
    """A group that was removed from the catalog offers nothing, though the fallback group would."""
    known = catalog(group("spare", Member(A, 0, 1)))
    assert build_chain(known, [first, "spare"], "gpt", routes.CHAT, random.Random(1)) == ()
    assert visible_models(known, first, OPERATIONS, 0) == []


def test_an_unknown_fallback_group_is_passed_over() -> None:
    """A fallback group that was removed takes nothing from the others."""
    known = catalog(group("main", Member(A, 0, 1)), group("spare", Member(B, 0, 1)))
    chain = build_chain(known, ["main", "nowhere", "spare"], "gpt", routes.CHAT, random.Random(1))
    assert names_of(chain) == "a b"


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (4, 1, 1)])
def test_equals_are_drawn_in_proportion_to_their_weights(weights: tuple[int, ...]) -> None:
    """Over all draws, each order comes up exactly as often as its weights say, at every place of the chain."""
    members = [Member(one, 0, weight) for one, weight in zip((A, B, C), weights, strict=True)]
    grid = [(n + 0.5) / 60 for n in range(60)]
    seen = Counter(
        names_of(chain_of(group("main", *members), draw=Scripted(*draws))) for draws in product(grid, repeat=2)
    )
    weight = dict(zip("abc", weights, strict=True))
    for order in permutations("abc"):
        first, second, third = (weight[name] for name in order)
        share = Fraction(first, sum(weights)) * Fraction(second, second + third)
        assert Fraction(seen[" ".join(order)], 60 * 60) == share


def test_each_priority_is_drawn_by_itself() -> None:
    """However heavy a channel is, it does not move before a lower priority, and one alone needs no draw."""
    members = [Member(A, 0, 1), Member(B, 1, 1_000_000), Member(C, 1, 1)]
    seen = {names_of(chain_of(group("main", *members), draw=Scripted(draw))) for draw in (0.0, 0.999_999_9)}
    assert seen == {"a b c", "a c b"}


@pytest.mark.parametrize("seed", range(5))
def test_equal_seeds_draw_equal_chains(seed: int) -> None:
    """The draw is the only thing that is left to chance."""
    main = group("main", Member(A, 0, 1), Member(B, 0, 2), Member(C, 0, 3))
    assert chain_of(main, draw=random.Random(seed)) == chain_of(main, draw=random.Random(seed))


EMBEDDER = Model("embedder", (Price(Terms(RATES)),), generates=False, max_output_tokens=0)
WRITER = Model("writer", (Price(Terms(RATES)),), generates=True, max_output_tokens=10)


@pytest.mark.parametrize(
    ("model", "operation", "callable_"),
    [
        ("writer", routes.CHAT, True),
        ("writer", routes.RESPONSES, True),
        ("embedder", routes.CHAT, False),
        ("embedder", routes.RESPONSES, False),
        ("embedder", routes.EMBEDDINGS, True),
    ],
)
def test_a_model_without_an_output_price_cannot_generate(model: str, operation: Operation, callable_: bool) -> None:
    """An embedding model can be asked for embeddings, and for nothing that would produce unpriced tokens."""
    serving = group("main", Member(channel("a", "embedder", "writer"), 0, 1), models="embedder writer")
    known = catalog(serving, models=(EMBEDDER, WRITER))
    assert bool(build_chain(known, ["main"], model, operation, random.Random(1))) is callable_
    listed = visible_models(known, "main", routes.operations_of(Dialect.OPENAI), 0)
    assert [each.name for each in listed] == ["embedder", "writer"]


PAINTER = Model("painter", (Price(Terms(FREE), (UnitPrice(UnitRate(UnitKind.IMAGE, 40), {"size": "1K"}),)),), False, 0)
SPEAKER = Model("speaker", (Price(Terms(FREE), (UnitPrice(UnitRate(UnitKind.CHARACTER, 40), {}),)),), False, 0)
CALLED = Model("called", (Price(Terms(Rates.of(call=5)), (UnitPrice(UnitRate(UnitKind.SECOND, 4), {}),)),), False, 0)
FREELY = Model("freely", (Price(Terms(FREE)),), False, 0)


@pytest.mark.parametrize(
    ("dialect", "listed"),
    [
        (Dialect.OPENAI, "called embedder freely painter speaker writer"),
        (Dialect.ANTHROPIC, "writer"),
        (Dialect.GEMINI, "called embedder freely painter writer"),
    ],
)
def test_a_model_is_listed_where_something_can_be_paid_for(dialect: Dialect, listed: str) -> None:
    """A dialect whose channels could only count a model's tokens, or would do what it has no price for, lacks it."""
    models = (EMBEDDER, WRITER, PAINTER, SPEAKER, CALLED, FREELY)
    names = [model.name for model in models]
    serving = group("main", Member(channel("a", *names, dialect=dialect), 0, 1), models=" ".join(names))
    known, operations = catalog(serving, models=models), routes.operations_of(dialect)
    assert " ".join(model.name for model in visible_models(known, "main", operations, 0)) == listed


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if not each.priced], ids=lambda each: each.name)
def test_what_is_free_lists_no_model(operation: Operation) -> None:
    """A model whose tokens can be counted, and no more, is none that can be called."""
    serving = group("main", Member(channel("a", "writer", dialect=operation.dialect), 0, 1), models="writer")
    assert visible_models(catalog(serving, models=(WRITER,)), "main", [operation], 0) == []


def test_a_price_to_come_lists_nothing_yet() -> None:
    """What a model can be called for is told by the price of now."""
    later = Price(Terms(FREE), (UnitPrice(UnitRate(UnitKind.IMAGE, 40), {}),), valid_from_ms=100)
    speaker = Model("speaker", (*SPEAKER.prices, later), False, 0)
    serving = group("main", Member(channel("a", "speaker", dialect=Dialect.GEMINI), 0, 1), models="speaker")
    known, operations = catalog(serving, models=(speaker,)), routes.operations_of(Dialect.GEMINI)
    assert [len(visible_models(known, "main", operations, now)) for now in (99, 100)] == [0, 1]


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Up to seven channels in three dialects, three groups that share them, four models of which some only embed."""
    models = {name: Model(name, (Price(Terms(RATES)),), draw(st.booleans()), 100) for name in NAMES}
    served = st.sets(st.sampled_from(NAMES))
    channels = {
        name: Channel(
            name,
            draw(st.sampled_from(Dialect)),
            "http://v.test",
            None,
            {m: name + m for m in draw(served)},
            drained=draw(st.booleans()),
        )
        for name in (f"c{n}" for n in range(draw(st.integers(0, 7))))
    }
    groups = {}
    for name in GROUPS:
        chosen = draw(st.sets(st.sampled_from(sorted(channels)))) if channels else set()
        members = [Member(channels[c], draw(st.integers(0, 2)), draw(st.integers(1, 5))) for c in sorted(chosen)]
        multiplier_ppm, shows = draw(st.integers(1, 10**7)), draw(st.booleans())
        groups[name] = Group(name, multiplier_ppm, frozenset(draw(served)), tuple(members), show_channel=shows)
    return Catalog.of("rev", channels, models, groups)


key_groups = st.lists(st.sampled_from([*GROUPS, "removed"]), min_size=1, max_size=3, unique=True)


def eligible(known: Catalog, name: str, model: str, dialect: Dialect) -> dict[str, int]:
    """Channel → priority, of those that a group offers for a model in a dialect."""
    found = known.groups.get(name)
    if found is None or model not in found.models:
        return {}
    speaking = [member for member in found.members if member.channel.dialect is dialect and not member.channel.drained]
    return {member.channel.name: member.priority for member in speaking if model in member.channel.models}


@steady
@given(catalogs(), key_groups, st.sampled_from(NAMES), st.sampled_from(OPERATIONS), st.integers())
def test_a_chain_has_every_channel_once_in_order_and_on_its_terms(
    known: Catalog, groups: list[str], model: str, operation: Operation, seed: int
) -> None:
    """Every eligible channel stands once (as far as Envoy goes), by group, then priority, on its group's terms."""
    chain = build_chain(known, groups, model, operation, random.Random(seed))
    offered = {name: eligible(known, name, model, operation.dialect) for name in groups}
    if not offered[groups[0]] or (operation.output and not known.models[model].generates):
        assert chain == ()
        return
    everywhere = {name for one in offered.values() for name in one}
    used = [attempt.channel.name for attempt in chain]
    assert len(used) == len(set(used)) == min(MAX_ATTEMPTS, len(everywhere))
    for attempt in chain:
        first = next(name for name in groups if attempt.channel.name in offered[name])
        terms = (first, known.groups[first].multiplier_ppm, attempt.channel.name + model)
        assert (attempt.group, attempt.multiplier_ppm, attempt.vendor_model) == terms
        assert attempt.shown == known.groups[first].show_channel
    order = [(groups.index(attempt.group), offered[attempt.group][attempt.channel.name]) for attempt in chain]
    assert order == sorted(order)


@steady
@given(catalogs(), key_groups, st.sampled_from(Dialect), st.integers())
def test_what_is_not_listed_is_not_callable(known: Catalog, groups: list[str], dialect: Dialect, seed: int) -> None:
    """The model list of a dialect is exactly the models that some operation of that dialect can call."""
    operations = [operation for operation in OPERATIONS if operation.dialect is dialect]
    draw = random.Random(seed)
    callable_ = [name for name in NAMES if any(build_chain(known, groups, name, op, draw) for op in operations)]
    assert [model.name for model in visible_models(known, groups[0], operations, 0)] == callable_
