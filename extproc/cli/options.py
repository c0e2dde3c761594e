"""The options that several commands share, each with its environment variable."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from extproc.core.pricing import ONE
from extproc.errors import TollgateError

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
Port = Annotated[
    int,
    typer.Option("--port", envvar="TOLLGATE_PORT", min=0, max=65535, help="Port of the gateway without TLS; 0: none."),
]
TlsPort = Annotated[
    int,
    typer.Option(
        "--tls-port", envvar="TOLLGATE_TLS_PORT", min=0, max=65535, help="Port of the gateway with TLS; 0: none."
    ),
]
DemoPort = Annotated[
    int, typer.Option("--demo-port", envvar="TOLLGATE_DEMO_PORT", min=1, max=65535, help="Port of the demo vendor.")
]
MetricsListen = Annotated[
    str,
    typer.Option("--metrics-listen", envvar="TOLLGATE_METRICS_LISTEN", help="Address of the two ports for metrics."),
]
MetricsPort = Annotated[
    int,
    typer.Option(
        "--metrics-port",
        envvar="TOLLGATE_METRICS_PORT",
        min=0,
        max=65535,
        help="Port of /metrics, /healthz and /readyz; 0 for none.",
    ),
]
EnvoyMetricsPort = Annotated[
    int,
    typer.Option(
        "--envoy-metrics-port",
        envvar="TOLLGATE_ENVOY_METRICS_PORT",
        min=0,
        max=65535,
        help="Port of Envoy's own metrics, at /stats/prometheus; 0 for none.",
    ),
]
AdminPort = Annotated[
    int,
    typer.Option(
        "--admin-port",
        envvar="TOLLGATE_ADMIN_PORT",
        min=0,
        max=65535,
        help="Port of the admin API, on TOLLGATE_ADMIN_LISTEN (127.0.0.1); 0 for none.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", envvar="TOLLGATE_WORKERS", min=1, max=64, help="Sidecar processes.")]
WorkerListen = Annotated[
    str,
    typer.Option(
        "--worker-listen",
        envvar="TOLLGATE_WORKER_LISTEN",
        metavar="HOST:PORT",
        help="Answer Envoys of other machines here as well. Not encrypted, and prompts pass: keep it in your network.",
    ),
]
OtherWorkers = Annotated[
    str,
    typer.Option(
        "--other-workers",
        envvar="TOLLGATE_OTHER_WORKERS",
        metavar="NAME:PORT",
        help="Workers of other machines, one at each address of the name. Those of this one are asked when they fail.",
    ),
]
Discount = Annotated[str, typer.Option(help="What the owner pays of every price: 0.9 is ten percent off.")]
Revision = Annotated[
    int | None,
    typer.Option(help="The revision you have seen: where another one is there, nothing is changed.", min=0),
]
Limit = Annotated[int | None, typer.Option(help="So many at most; default: all.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

CONFIG = Path("config")
DATA = Path(".data")


def factor(text: str) -> int:
    """A factor on the command line, such as 0.9, in millionths. Raises `TollgateError` unless it is in (0, 1]."""
    try:
        ppm = Fraction(text.strip()) * ONE
    except (ValueError, ZeroDivisionError):
        raise TollgateError(f"{text!r} is not a factor, such as 0.9") from None
    if not 0 < ppm <= ONE or ppm.denominator != 1:
        raise TollgateError(f"{text} is not above 0 and at most 1, with six decimals at most")
    return int(ppm)
