"""The one way in which commands read and change what a gateway knows: by the verbs of the admin API.

A request's type names its verb: `GetOwnerRequest` asks for `GetOwner`. Who answers is a gateway elsewhere, over gRPC,
or the admin service itself, in this process and straight on Redis.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from extproc.cli.filters import Which
from extproc.cli.local import local
from extproc.cli.place import Place
from extproc.cli.remote import remote
from extproc.core.catalog import Catalog

A = TypeVar("A", bound=Message)


class Client(Protocol):
    """Asks the admin service. Both methods raise `TollgateError` with what it refused."""

    def call(self, request: Message, answer: type[A]) -> A:
        """The one answer to a request."""
        ...

    def stream(self, request: Message, answer: type[A]) -> Iterator[A]:
        """Every answer to a request, as they come."""
        ...

    def catalog(self) -> Catalog | None:
        """The configuration that the gateway runs by, where it is at hand."""
        ...


def connected(place: Place) -> AbstractContextManager[Client]:
    """A client of the gateway there."""
    return remote(place.admin, place.admin_ca) if place.admin else local(place)


def operating(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `Client` of the gateway that its options name: those of a `Place` go after its own.

    A parameter `which` becomes the options of `Which`.
    """
    signature = inspect.signature(command, eval_str=True)
    places, filters = _options(Place), _options(Which)
    own = list(signature.parameters.values())[1:]
    asks = any(each.annotation is Which for each in own)
    kept = [each for each in own if each.annotation is not Which]
    parameters = _in_order([*kept, *(filters if asks else []), *places])

    @functools.wraps(command)
    def run(**given: Any) -> None:
        place = Place(**{each.name: given.pop(each.name) for each in places})
        if asks:
            given["which"] = Which(**{each.name: given.pop(each.name) for each in filters})
        with connected(place) as client:
            command(client, **given)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _options(of: type) -> list[inspect.Parameter]:
    return list(inspect.signature(of, eval_str=True).parameters.values())


def _in_order(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """What must be said before what need not be, as a signature has it."""
    return sorted(parameters, key=lambda each: each.default is not inspect.Parameter.empty)


def examples(*lines: str) -> str:
    """What stands under the help of a command."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  [cyan]{line}[/cyan]" for line in lines)])
