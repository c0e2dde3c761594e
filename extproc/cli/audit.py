"""`tollgate audit`: prove on a live system that no money came from nowhere and none is lost."""

from pathlib import Path

import typer

from extproc.cli import options
from extproc.cli.printing import console, money, print_json, print_table, working
from extproc.cli.store import with_redis
from extproc.config.history import History
from extproc.core.audit import Prices
from extproc.dialects.routes import OPERATIONS
from extproc.store import audit as store
from extproc.store.audit import Audited


def audit(
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Check every balance, hold and record to the nano-dollar, while the gateway runs. Exits 1 on any difference.

    Each record's terms are held against the configuration that priced it, from the folder or its git history.
    """
    prices = Prices(History(config).catalog, OPERATIONS)
    with working("Checking every balance, hold and record …"):
        audited = with_redis(data, redis, lambda connection, _settings: store.audit(connection, prices))
    if json:
        print_json(_shown(audited))
    else:
        _print(audited, config)
    if audited.differences:
        raise typer.Exit(1)


def _print(audited: Audited, config: Path) -> None:
    row = {
        "owners": str(audited.owners),
        "accounts": str(audited.accounts),
        "live holds": str(audited.holds),
        "records": str(audited.records),
        "limit": money(audited.put_in_nano),
        "held": money(audited.held_nano),
        "used": money(audited.used_nano),
    }
    print_table([row], "")
    for difference in audited.differences:
        console.print(str(difference), markup=False, style="red")
    if unknown := audited.unknown_revisions:
        each = ", ".join(f"{revision} ({count})" for revision, count in unknown.most_common())
        where = f"neither in {config} nor in its git history"
        console.print(f"{unknown.total()} records were priced by revisions that are {where}: {each}", markup=False)
    if not audited.differences:
        console.print("Everything adds up.")


def _shown(audited: Audited) -> dict[str, object]:
    return {
        "ok": not audited.differences,
        "owners": audited.owners,
        "accounts": audited.accounts,
        "live_holds": audited.holds,
        "records": audited.records,
        "put_in_nano": audited.put_in_nano,
        "held_nano": audited.held_nano,
        "used_nano": audited.used_nano,
        "unknown_revisions": audited.unknown_revisions,
        "differences": [
            {"owner": each.owner, "what": each.what, "expected": each.expected, "found": each.found}
            for each in audited.differences
        ],
    }
