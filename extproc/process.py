"""What every process of ours does alike: log, and wait to be told to stop."""

import asyncio
import logging
import signal
import sys

import structlog


def configure_logging() -> None:
    """One JSON object a line on standard error: events with keys and values.

    Tracebacks come without local variables, for a body or a key would be among them.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def told_to_stop() -> signal.Signals:
    """Wait for SIGINT or SIGTERM, and say which it was."""
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.put_nowait, number)
    return await told.get()
