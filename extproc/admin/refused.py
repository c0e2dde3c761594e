"""What a caller of the admin service is told when a verb is not carried out: a status and a sentence."""

import grpc
import structlog

from extproc.errors import AlreadyThere, BadValue, LedgerUnavailable, Stale, TollgateError

log = structlog.get_logger()

MOST_CHARACTERS = 500
"""Of a sentence, which may have a name in it that somebody made up: gRPC sends it as a header."""


class Refused(TollgateError):
    """A verb that was not carried out; nothing was changed. The text is for the caller."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:MOST_CHARACTERS]


def invalid(message: str) -> Refused:
    """The request is wrong, whoever makes it."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refused:
    """There is no such thing, and the caller may know."""
    return Refused(grpc.StatusCode.NOT_FOUND, message)


def forbidden(message: str) -> Refused:
    """The caller may not."""
    return Refused(grpc.StatusCode.PERMISSION_DENIED, message)


def refused_by(error: Exception, verb: str) -> Refused:
    """What the caller of a verb is told of this error: of one that nobody foresaw nothing but that there was one."""
    match error:
        case Refused():
            return error
        case BadValue():
            return invalid(str(error))
        case Stale():
            return Refused(grpc.StatusCode.ABORTED, str(error))
        case AlreadyThere():
            return Refused(grpc.StatusCode.ALREADY_EXISTS, str(error))
        case LedgerUnavailable():
            log.warning("admin_without_redis", verb=verb)
            return Refused(
                grpc.StatusCode.UNAVAILABLE, "Redis does not answer; whether a change was made is not known."
            )
    log.error("admin_failed", verb=verb, exc_info=error)
    return Refused(grpc.StatusCode.INTERNAL, "The admin service made an error; its log says which.")
