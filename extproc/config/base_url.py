"""A channel's base URL: variables filled in, and nothing in it that Envoy's cluster could not be made of."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from extproc.config.secrets import VARIABLE_NAME

_VARIABLE = re.compile(rf"\$\{{({VARIABLE_NAME})(?::-([^}}]*))?\}}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_PATH = re.compile(r"(/[A-Za-z0-9._~%@:+-]+)*/?")


def read_base_url(template: str, env: Mapping[str, str]) -> str:
    """The URL with `${NAME}` and `${NAME:-default}` filled in, as in a shell, and without a slash at its end.

    ValueError says what is wrong with it, and shows nothing of it.
    """
    url = _VARIABLE.sub(lambda match: _variable(match, env), template)
    parts = _split(url)
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if parts.username is not None:
        raise ValueError("must not hold a user or password: use credential")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError("must name a host, as in https://api.example.com/v1")
    if "?" in url or "#" in url:
        raise ValueError("must not have a query or fragment")
    if not _PATH.fullmatch(parts.path) or not url.isprintable():
        raise ValueError("has characters that do not belong there (a variable is ${NAME} or ${NAME:-default})")
    return url.rstrip("/")


def _variable(match: re.Match[str], env: Mapping[str, str]) -> str:
    name, default = match.groups()
    value = env.get(name) or default
    if value is None:
        raise ValueError(f"{name} is not set (export {name}, or write ${{{name}:-default}})")
    return value


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is not a URL with a usable host and port")
    return parts
