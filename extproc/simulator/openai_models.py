"""OpenAI's `GET /models`: a list of one, whoever asks."""

from extproc.simulator.answer import Answer, Ask, Turn, whole
from extproc.simulator.openai_chat import headers

MODEL = "sim-model"


def read(_body: bytes) -> Ask:
    """What the request asks for: always the list."""
    return Ask(model="", respond=_whole, metered=False)


def _whole(turn: Turn) -> Answer:
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "simulator"}
    return whole(turn.script, {"object": "list", "data": [model]}, headers=headers(turn))
