"""The text of answers, whatever the batches it is written in, and the counting of prompts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.simulator import routes, words
from extproc.simulator.play import play

_STREAMS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"stream": True, "stream_options": {"include_usage": True}},
    "/v1/responses": {"stream": True},
    "/v1/messages": {"stream": True, "max_tokens": 1},
    "/v1beta/models/m:streamGenerateContent?alt=sse": {},
    "/v1beta/models/m:streamGenerateContent": {},
}


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_count(texts: list[str]) -> None:
    """Words are what ASCII whitespace separates."""
    assert words.count(texts) == sum(len(text.encode().split()) for text in texts)


@given(st.integers(0, 5000), st.integers(0, 9), st.data())
def test_deltas(count: int, word_bytes: int, data: st.DataObject) -> None:
    """However they are cut, the deltas make the words w0, w1 … with one space between, each padded."""
    cut = data.draw(st.integers(0, count))
    text = b"".join([*words.deltas(0, cut, word_bytes), *words.deltas(cut, count, word_bytes)]).decode()
    assert text == words.text(count, word_bytes) == " ".join(f"w{i}".ljust(word_bytes, "x") for i in range(count))


@pytest.mark.parametrize("path", _STREAMS)
@given(count=st.integers(1, 40), no_usage=st.booleans(), data=st.data())
def test_frames(path: str, count: int, no_usage: bool, data: st.DataObject) -> None:
    """In every stream frames made together are the bytes of the same frames made in any two pieces."""
    scripted = json.dumps({"chunks": count, "no_usage": no_usage})
    prompt = f"hi [[sim {scripted}]]"
    body = _STREAMS[path] | {
        "model": "m",
        "input": prompt,
        "messages": [{"role": "user", "content": prompt}],
        "contents": [{"parts": [{"text": prompt}]}],
    }
    answer = play(1, routes.find("POST", path), json.dumps(body).encode()).answer
    cut = data.draw(st.integers(1, count))
    rest = answer.frames(cut, count) if cut < count else b""
    assert answer.frames(0, cut) + rest == answer.frames(0, count)
