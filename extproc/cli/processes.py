"""`tollgate up`, `tollgate serve`, and the worker processes they start.

What only a gateway needs takes longer to import than most commands to run, so it is imported when one starts.
"""

import asyncio
import sys
from dataclasses import replace
from typing import Annotated

import typer
from rich.markup import escape

from extproc import demo as demo_owners
from extproc.cli import options
from extproc.cli.printing import console, print_json
from extproc.drain import drain as drain_envoy
from extproc.names import TLS_CERTIFICATE
from extproc.process import configure_logging
from extproc.settings import Settings, make_settings


def up(
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    listen: options.Listen = "127.0.0.1",
    port: options.Port = 8080,
    tls_port: options.TlsPort = 8443,
    demo_port: options.DemoPort = 9100,
    workers: options.Workers = 2,
    metrics_listen: options.MetricsListen = "127.0.0.1",
    metrics_port: options.MetricsPort = 9464,
    envoy_metrics_port: options.EnvoyMetricsPort = 9465,
    admin_port: options.AdminPort = 8090,
    demo: Annotated[bool, typer.Option(help="Run the demo vendor, and make a demo key.")] = True,
    json: options.Json = False,
) -> None:
    """Run everything on this machine: Redis, workers, Envoy and the demo vendor. Ctrl-C drains and stops."""
    settings = make_settings(
        config,
        data,
        redis,
        listen,
        port,
        demo_port,
        workers,
        tls_port,
        metrics_listen=metrics_listen,
        metrics_port=metrics_port,
        envoy_metrics_port=envoy_metrics_port,
        admin_port=admin_port,
    )
    configure_logging()
    asyncio.run(_up(settings, demo, json))


async def _up(settings: Settings, demo: bool, json: bool) -> None:
    from extproc import up as deployment

    async with deployment.everything(settings, demo) as (loaded, children):
        keys = await demo_owners.prepare(settings) if demo else None
        if json:
            print_json(
                {
                    "base_url": settings.base_url,
                    "tls_url": settings.tls_url,
                    "admin_url": settings.admin_url,
                    "key": keys.paid if keys else None,
                    "empty_key": keys.empty if keys else None,
                    "revision": loaded.catalog.revision,
                }
            )
        else:
            _welcome(settings, loaded.notes, keys)
        await deployment.run_until_stopped(
            children, lambda: _say("\nStopping: no new requests, and those under way end.")
        )
    _say("Stopped.")


def serve(
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    listen: options.Listen = "127.0.0.1",
    port: options.Port = 8080,
    tls_port: options.TlsPort = 8443,
    workers: options.Workers = 2,
    metrics_listen: options.MetricsListen = "127.0.0.1",
    metrics_port: options.MetricsPort = 9464,
    envoy_metrics_port: options.EnvoyMetricsPort = 9465,
    admin_port: options.AdminPort = 8090,
    worker_listen: options.WorkerListen = "",
    other_workers: options.OtherWorkers = "",
    json: options.Json = False,
) -> None:
    """Run only the sidecar's workers, beside an Envoy and a Redis of your own."""
    settings = make_settings(
        config,
        data,
        redis,
        listen,
        port,
        workers=workers,
        tls_port=tls_port,
        metrics_listen=metrics_listen,
        metrics_port=metrics_port,
        envoy_metrics_port=envoy_metrics_port,
        admin_port=admin_port,
    )
    settings = replace(settings, worker_listen=worker_listen, other_workers=other_workers)
    configure_logging()
    asyncio.run(_serve(settings, json))


async def _serve(settings: Settings, json: bool) -> None:
    from extproc import up as deployment

    async with deployment.sidecar(settings) as (loaded, children):
        if json:
            print_json({"run": str(settings.run), "revision": loaded.catalog.revision, "workers": settings.workers})
        else:
            for note in loaded.notes:
                _say(f"note: {note}")
            _say(f"{settings.workers} workers; revision {loaded.catalog.revision}.")
            _say(f"Start Envoy in {settings.run}:  envoy -c envoy.yaml --file-flush-interval-msec 100")
        await deployment.run_until_stopped(children, lambda: _say("\nStopping."))


def drain(
    data: options.Data = options.DATA,
    at_least: Annotated[float, typer.Option(help="Seconds in which callers may still be sent here.")] = 10.0,
    at_most: Annotated[float, typer.Option(help="Seconds after which what is left is cut.")] = 3600.0,
) -> None:
    """Wait until the Envoy of this data folder has no request left, and say to callers to connect elsewhere."""
    admin_socket = make_settings(options.CONFIG, data, None).run / "admin.sock"
    sys.exit(0 if asyncio.run(drain_envoy(admin_socket, at_least, at_most)) else 1)


def _say(text: str) -> None:
    console.print(text, markup=False)


def _welcome(settings: Settings, notes: list[str], keys: demo_owners.DemoKeys | None) -> None:
    for note in notes:
        console.print(f"[dim]note: {escape(note)}[/dim]")
    console.print(f"\n[bold]Tollgate is ready:[/bold] {settings.base_url}")
    if settings.tls_url and settings.tls_url != settings.base_url:
        _say(f"With TLS: {settings.tls_url} (curl --cacert {settings.edge.certificates / TLS_CERTIFICATE})")
    if settings.admin_url:
        _say(f"Admin API: {settings.admin_url}/admin/v1/openapi.json")
    if keys is None:
        _say("Make a key with `tollgate keys create`. Ctrl-C stops.")
        return
    _say(f"\nTOLLGATE_KEY={keys.paid}\n")
    for what, curl in _curls(settings.base_url, keys):
        console.print(f"[bold]# {what}[/bold]")
        _say(curl + "\n")
    _say("Ctrl-C stops everything.")


def _curls(base_url: str, keys: demo_owners.DemoKeys) -> list[tuple[str, str]]:
    url, ask = f"{base_url}/v1/chat/completions", '{"model":"%s","messages":[{"role":"user","content":"Hello"}]%s}'
    model = "gpt-5-mini"
    plain, stream = ask % (model, ""), ask % (model, ',"stream":true')
    return [
        ("200, an answer in one piece", f"curl {url} -H 'Authorization: Bearer {keys.paid}' -d '{plain}'"),
        ("200, a stream", f"curl -N {url} -H 'Authorization: Bearer {keys.paid}' -d '{stream}'"),
        ("401, the key is not valid", f"curl {url} -H 'Authorization: Bearer sk-not-a-key' -d '{plain}'"),
        ("402, the balance is too low", f"curl {url} -H 'Authorization: Bearer {keys.empty}' -d '{plain}'"),
    ]
