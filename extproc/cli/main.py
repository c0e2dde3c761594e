"""The command line."""

import typer

from extproc.cli import (
    apply,
    audit,
    changes,
    configuration,
    keys,
    logs,
    owners,
    price,
    processes,
    reprice,
    schema,
    status,
    teams,
    tokens,
    trace,
    usage,
    wallet,
)

app = typer.Typer(
    name="tollgate",
    help="A metered gateway for LLM APIs. Envoy carries the bytes, a sidecar decides, Redis remembers.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("up")(processes.up)
app.command("serve")(processes.serve)
app.command("drain")(processes.drain)
app.command("status")(status.status)
app.command("check")(configuration.check)
app.command("render")(configuration.render)
app.command("schema")(schema.schema)
app.command("price")(price.price)
app.command("reprice")(reprice.reprice_command)
app.command("audit")(audit.audit)
app.command("trace")(trace.trace)
app.command("apply", epilog=apply.EPILOG)(apply.apply)
app.command("usage", epilog=usage.EPILOG)(usage.usage)
app.command("logs", epilog=logs.EPILOG)(logs.logs)
app.command("changes", epilog=changes.EPILOG)(changes.changes)
app.add_typer(owners.app, name="owners")
app.add_typer(teams.app, name="teams")
app.add_typer(keys.app, name="keys")
app.add_typer(wallet.app, name="wallet")
app.add_typer(tokens.app, name="tokens")
