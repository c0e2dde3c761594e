"""A known key, a known prompt and a known answer are sent; then everything that Tollgate keeps or shows is searched."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import redis

from extproc.envoy_admin import ask
from tests.e2e.harness import HTTP, Customer, Gateway

PROMPT = "canary-prompt-8f3a61c9d2"
ANSWER_BYTES = 57
ANSWER = "w2" + "x" * (ANSWER_BYTES - 2)
"""The third word of the answer, padded by the simulator to a size that nothing else has."""

ADMIN_PATHS = (
    "/stats",
    "/stats/prometheus",
    "/config_dump?include_eds",
    "/clusters",
    "/listeners",
    "/certs",
    "/runtime",
)
PLACES = ("authorization", "x-api-key", "x-goog-api-key", "?key=")

SCRIPT = f"[[sim {json.dumps({'chunks': 4, 'word_bytes': ANSWER_BYTES})}]]"
SAID = [{"role": "user", "content": f"{PROMPT} {SCRIPT}"}]
CHAT = {"model": "gpt-5-mini", "messages": SAID}
BODIES: Mapping[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [CHAT, {**CHAT, "stream": True}],
    "/v1/responses": [{"model": "gpt-5-mini", "input": SAID}, {"model": "gpt-5-mini", "input": SAID, "stream": True}],
    "/v1/messages": [
        {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": SAID, "stream": s} for s in (False, True)
    ],
    "/v1beta/models/gemini-2.5-flash:generateContent": [{"contents": [{"parts": [{"text": SAID[0]["content"]}]}]}],
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse": [
        {"contents": [{"parts": [{"text": SAID[0]["content"]}]}]}
    ],
    "/v1/embeddings": [{"model": "text-embedding-3-small", "input": PROMPT}],
}


def post(gateway: Gateway, path: str, key: str, place: str, content: bytes) -> str:
    """The answer to a request with the key in this place."""
    headers = {"content-type": "application/json"}
    if place == "?key=":
        path += ("&" if "?" in path else "?") + f"key={key}"
    else:
        headers[place] = f"Bearer {key}" if place == "authorization" else key
    return HTTP.post(gateway.url + path, content=content, headers=headers).text


def refused_bodies(path: str) -> Iterator[tuple[str, bytes]]:
    """Requests with the prompt in them that go wrong in every way there is."""
    good = json.dumps(BODIES[path][0]).encode()
    yield path, good[:-1]
    yield path, json.dumps(PROMPT).encode()
    yield path, json.dumps({"model": 5, "generationConfig": PROMPT, "stream": PROMPT, "prompt": PROMPT}).encode()
    yield path, json.dumps({**BODIES[path][0], "model": "no-such-model"}).encode()
    yield path, good.replace(b"[[sim {", b'[[sim {\\"status\\": 500, ')
    yield path, good.replace(b"[[sim {", b'[[sim {\\"reset_after\\": 1, ')
    yield "/v1/nothing-here", good
    yield path, b'{"a":"' + PROMPT.encode() + b" " * 33 * 1024 * 1024


def redis_texts(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Every key of Redis and all it holds, whatever its type, as text."""
    read: Mapping[str, Any] = {
        "string": lambda store, key: store.get(key),
        "hash": lambda store, key: store.hgetall(key),
        "set": lambda store, key: store.smembers(key),
        "zset": lambda store, key: store.zrange(key, 0, -1, withscores=True),
        "list": lambda store, key: store.lrange(key, 0, -1),
        "stream": lambda store, key: store.xrange(key),
        "none": lambda *_: "",  # gone since, as a lease that has run out
    }
    with contextlib.closing(redis.Redis.from_url(gateway.settings.redis_url, decode_responses=True)) as store:
        for key in store.scan_iter(count=1000):
            yield f"Redis {key}", f"{key} {read[str(store.type(key))](store, key)}"


def file_texts(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Every file of the data folder: logs, generated configuration, and Redis's own append-only file."""
    for path in gateway.settings.data.rglob("*"):
        if path.is_file():
            yield str(path), path.read_text(errors="replace")


def admin_texts(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """What Envoy's admin interface shows."""
    for path in ADMIN_PATHS:
        yield f"admin {path}", ask(gateway.settings.run / "admin.sock", path)


def found(gateway: Gateway, *words: str) -> list[str]:
    """Where any of these words is kept or shown."""
    places = [*redis_texts(gateway), *file_texts(gateway), *admin_texts(gateway)]
    return [place for place, text in places if any(word in text for word in words)]


@pytest.fixture(scope="module")
def canaries(demo: Gateway) -> tuple[Customer, Customer]:
    """A customer who has asked in every way, been answered and been refused; and one who could not pay."""
    canary = demo.customer(usd="5")
    poor = demo.customer(usd="0")
    answered = 0
    for place in PLACES:
        for path, bodies in BODIES.items():
            for body in bodies:
                answer = post(demo, path, canary.key, place, json.dumps(body).encode())
                assert ANSWER in answer or path == "/v1/embeddings", answer
                answered += 1
        post(demo, "/v1/chat/completions", poor.key, place, json.dumps(CHAT).encode())
    for path in ("/v1/chat/completions", "/v1/messages", "/v1beta/models/gemini-2.5-flash:generateContent"):
        for number, (target, broken) in enumerate(refused_bodies(path)):
            with contextlib.suppress(httpx.HTTPError):
                post(demo, target, canary.key, PLACES[number % len(PLACES)], broken)
    demo.settled(canary, records=answered)
    return canary, poor


def test_neither_keys_nor_prompts_nor_answers_are_kept(demo: Gateway, canaries: tuple[Customer, Customer]) -> None:
    """No log, no file, no Redis key or value and no admin page has a plaintext key, a prompt or an answer."""
    assert found(demo, *(canary.key for canary in canaries), PROMPT, ANSWER) == []


def test_the_search_finds_what_is_known_to_be_there(demo: Gateway, canaries: tuple[Customer, Customer]) -> None:
    """The same search finds the owner in Redis and its file, a key's prefix, and a channel on the admin pages."""
    canary, _ = canaries
    assert any(place.startswith("Redis") for place in found(demo, canary.owner))
    assert any(place.endswith(".aof") for place in found(demo, canary.owner))
    assert any(place.startswith("Redis") for place in found(demo, canary.key[:10]))
    for page in ("/stats", "/config_dump?include_eds", "/clusters"):
        assert f"admin {page}" in found(demo, "channel_demo-openai")


@pytest.mark.parametrize("kind", ["string", "hash", "set", "zset", "list", "stream", "key", "log"])
def test_the_search_finds_a_planted_word(demo: Gateway, kind: str) -> None:
    """A word planted in any type of Redis, in a key's name or in a log is found: the search can fail."""
    word, name = f"planted-{kind}", "canary:plant"
    log = demo.settings.logs / "planted.log"
    with contextlib.closing(redis.Redis.from_url(demo.settings.redis_url)) as store:
        plant: Mapping[str, Any] = {
            "string": lambda: store.set(name, word),
            "hash": lambda: store.hset(name, "field", word),
            "set": lambda: store.sadd(name, word),
            "zset": lambda: store.zadd(name, {word: 1}),
            "list": lambda: store.rpush(name, word),
            "stream": lambda: store.xadd(name, {"field": word}),
            "key": lambda: store.set(name + word, "1"),
            "log": lambda: log.write_text(word),
        }
        try:
            plant[kind]()
            places = found(demo, word)
        finally:
            store.delete(name, name + word)
            log.unlink(missing_ok=True)

    assert any(place.startswith("Redis") or place.endswith(".log") for place in places), places
