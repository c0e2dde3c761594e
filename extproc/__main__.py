"""The `tollgate` command."""

import logging
import sys

import structlog

from extproc.cli.main import app
from extproc.errors import TollgateError


def main() -> None:
    """Run the command line; what an operator must know is one message, never a stack trace.

    Standard output is the command's alone: what its parts log goes to standard error.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app(prog_name="tollgate")
    except TollgateError as error:
        sys.exit(f"tollgate: {error}")


if __name__ == "__main__":
    main()
