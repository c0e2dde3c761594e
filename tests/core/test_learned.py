"""What one worker knows: what was told to it, and what it has learned since the last time it looked."""

import pytest

from extproc.core.learned import Kind, Learned, Part, start_of
from extproc.core.scale import LEAST_SAMPLES, MOST_SAMPLES, Scale, Sums

KIND = Kind("openai.chat", Part.STREAM, "gpt")
OTHERS = [KIND._replace(model="other"), KIND._replace(part=Part.PIECE), KIND._replace(operation="openai.responses")]
ANSWERS = [(tokens, 1_000 + 250 * tokens) for tokens in range(1, LEAST_SAMPLES + 1)]


def taught() -> Learned:
    """One that has seen just enough."""
    learned = Learned()
    for tokens, size in ANSWERS:
        learned.add(KIND, tokens, size)
    return learned


def close_to(scale: Scale) -> bool:
    """Whether it is about that of the answers."""
    return 250_000 <= scale.token_millibytes <= 270_000


@pytest.mark.parametrize("operation", ["openai.chat", "openai.responses", "anthropic.messages", "gemini.generate", "x"])
@pytest.mark.parametrize("part", Part)
def test_one_begins_with_what_is_known_of_the_api(operation: str, part: Part) -> None:
    """Every kind has a scale before anything was learned."""
    kind = Kind(operation, part, "gpt")
    assert Learned().scale(kind) == start_of(kind).scale()


def test_what_all_have_told_is_known() -> None:
    """What came from other workers counts as if it had been seen here, for its own kind alone."""
    learned, other = Learned(), taught()
    learned.know(other.take())
    assert close_to(learned.scale(KIND))
    assert [learned.scale(kind) for kind in OTHERS] == [start_of(kind).scale() for kind in OTHERS]


def test_a_scale_changes_only_when_one_looks() -> None:
    """Between two looks every quote has the same scale, however many requests end: it is worked out once."""
    learned = Learned()
    before = learned.scale(KIND)
    for tokens, size in ANSWERS:
        learned.add(KIND, tokens, size)
    assert learned.scale(KIND) is before
    learned.know(learned.take())
    assert close_to(learned.scale(KIND))


def test_what_could_not_be_told_is_used_and_told_later() -> None:
    """While Redis is away a worker goes by its own lessons, and keeps them."""
    learned = taught()
    new = learned.take()
    assert not close_to(learned.scale(KIND))
    learned.put_back(new)
    assert close_to(learned.scale(KIND))
    assert learned.take() == taught().take()


def test_what_came_meanwhile_is_not_lost() -> None:
    """A request that ends while the last ones are being told is told the next time, with what was put back."""
    learned = taught()
    new = learned.take()
    learned.add(KIND, 7, 900)
    learned.put_back(new)
    assert learned.take() == {KIND: new[KIND] + Sums.of(7, 900)}


def test_nothing_is_told_twice() -> None:
    """What was taken is gone."""
    learned = taught()
    learned.take()
    assert learned.take() == {}


def test_enough_is_enough() -> None:
    """Beyond a million answers a day's sums are not added to: they must fit in Redis."""
    learned = Learned()
    learned.know({KIND: Sums(count=MOST_SAMPLES)})
    learned.add(KIND, 7, 900)
    assert learned.take() == {}
