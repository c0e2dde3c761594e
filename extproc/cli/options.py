"""The options that several commands share, each with its environment variable."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", envvar="TOLLGATE_CONFIG", help="Folder of the YAML.", show_default=True)
]
Data = Annotated[
    Path, typer.Option("--data", envvar="TOLLGATE_DATA", help="Folder for sockets, logs, balances and the pepper.")
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar="TOLLGATE_REDIS",
        help="redis://, unix://, redis+cluster:// or redis+sentinel:// URL; default: the embedded Redis.",
    ),
]
Listen = Annotated[str, typer.Option("--listen", envvar="TOLLGATE_LISTEN", help="Address the gateway listens on.")]
Port = Annotated[int, typer.Option("--port", envvar="TOLLGATE_PORT", min=1, max=65535, help="Port of the gateway.")]
DemoPort = Annotated[
    int, typer.Option("--demo-port", envvar="TOLLGATE_DEMO_PORT", min=1, max=65535, help="Port of the demo vendor.")
]
Workers = Annotated[int, typer.Option("--workers", envvar="TOLLGATE_WORKERS", min=1, max=64, help="Sidecar processes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

CONFIG = Path("config")
DATA = Path(".data")
