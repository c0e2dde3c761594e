"""A key for a person."""

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.printing import money
from extproc.cli.values import shown_cap, shown_time


def row(key: pb.Key) -> dict[str, str]:
    """A key in a table."""
    return {
        "id": key.key_id,
        "prefix": key.prefix + "…",
        "owner": key.owner,
        "group": " → ".join((key.group, *key.fallback_groups)),
        "name": key.name,
        "team": "/".join(filter(None, (key.team, key.member))),
        "cap": shown_cap(key.cap_nano),
        "monthly": shown_cap(key.month_limit_nano),
        "used": money(key.used_nano),
        "status": key.status,
    }


def fields(key: pb.Key) -> dict[str, str]:
    """All of a key, field by field."""
    return {
        **row(key),
        "used this month": money(key.month_used_nano),
        "held": money(key.held_nano),
        "concurrency": str(key.concurrency),
        "requests per minute": _rate(key, "requests_per_minute"),
        "tokens per minute": _rate(key, "tokens_per_minute"),
        "expires": shown_time(key.expires_ms) if key.expires_ms else "never",
        "addresses": ", ".join(key.allowed_ips) or "all",
        "models": ", ".join(key.allowed_models) or "all of its group",
        "overlap until": shown_time(key.overlap_until_ms) if key.overlap_until_ms else "",
        "revision": str(key.revision),
    }


def _rate(key: pb.Key, field: str) -> str:
    if not key.HasField(field):
        return "as the group says"
    return str(getattr(key, field) or "no limit")
