"""Plays the vendor: from a request to the answer, its script and what it is charged for. No I/O."""

import time

import msgspec
from msgspec import Struct

from extproc.simulator import script, words
from extproc.simulator.answer import Answer, Ask, BadRequestError, Headers, Turn, whole
from extproc.simulator.errors import error_body
from extproc.simulator.routes import Route
from extproc.simulator.script import Script, ScriptError
from extproc.simulator.usage import Usage


class Play(Struct, frozen=True):
    """One request answered. `usage` is None for errors and for what is free; `says_usage`: the answer has it."""

    answer: Answer
    script: Script
    model: str
    usage: Usage | None = None
    says_usage: bool = False


def play(seq: int, route: Route, body: bytes) -> Play:
    """The answer to a request, errors included: never raises for what a caller sent."""
    if route.read is None:
        return _refusal(seq, route, script.PLAIN, 404, "no such path")
    try:
        return _answer(seq, route, route.read(body), body)
    except (msgspec.MsgspecError, BadRequestError, ScriptError, UnicodeDecodeError) as error:
        return _refusal(seq, route, _path_script(route), 400, str(error))


def _answer(seq: int, route: Route, ask: Ask, body: bytes) -> Play:
    is_scripted = script.MARK in body
    directive = script.directive_in([*reversed(ask.user), *reversed(ask.other)]) if is_scripted else {}
    todo = script.merge(route.vendor, directive, route.scripts)
    if todo.status != 200:
        return _refusal(seq, route, todo, todo.status, "scripted by the request", ask.model)
    usage = _usage(ask, todo, is_scripted)
    turn = Turn(seq, int(time.time()), ask.model, todo, usage)
    if not ask.metered:
        return Play(ask.respond(turn), todo, ask.model)
    return Play(ask.respond(turn), todo, ask.model, usage, ask.says_usage and not todo.no_usage)


def _usage(ask: Ask, todo: Script, is_scripted: bool) -> Usage:
    texts = (*ask.user, *ask.other)
    counted = map(script.without_directives, texts) if is_scripted else texts
    usage = todo.usage_for(words.count(counted) + ask.token_words)
    return Usage(**{name: getattr(usage, name) for name in ask.classes})


def _path_script(route: Route) -> Script:
    """The script of the path alone, for a request whose body says nothing that can be read."""
    try:
        return script.merge(route.vendor, {}, route.scripts)
    except ScriptError:
        return script.PLAIN


def _refusal(seq: int, route: Route, todo: Script, status: int, message: str, model: str = "") -> Play:
    status = status if todo.status == 200 else todo.status
    headers: Headers = () if todo.retry_after is None else (("retry-after", str(todo.retry_after)),)
    payload = error_body(route.dialect, status, f"simulator: {message}", seq)
    answer = whole(todo, [payload] if route.answers_array else payload, status=status, headers=headers)
    return Play(answer, todo, model)
