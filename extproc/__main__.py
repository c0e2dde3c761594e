"""The `tollgate` command."""

import sys

from extproc.cli.main import app
from extproc.errors import TollgateError


def main() -> None:
    """Run the command line; what an operator must know is one message, never a stack trace."""
    try:
        app()
    except TollgateError as error:
        sys.exit(f"tollgate: {error}")


if __name__ == "__main__":
    main()
