"""What a request says of a key's terms, as the fields of its record."""

from collections.abc import Sequence
from typing import Any

from extproc.admin import check
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import invalid
from extproc.core.catalog import Catalog
from extproc.core.identity import KeyStatus, OwnerRecord
from extproc.core.ledger import DEFAULT_MAX_LIVE

DEFAULT_GROUP = "default"
MOST_LIVE = 2**31 - 1
STAR = "*"


def said_of_a_new_key(
    request: pb.CreateKeyRequest, catalog: Catalog, owner: OwnerRecord, now_ms: int
) -> dict[str, Any]:
    """All terms. Raises `Refused`."""
    group = request.group or DEFAULT_GROUP
    return {
        "name": check.text(request.name, "name"),
        "group": _group(group, "group", catalog, owner),
        "fallback_groups": _groups(request.fallback_groups, catalog, owner),
        "cap_nano": check.money(request.cap_nano, "cap_nano"),
        "month_limit_nano": check.money(request.month_limit_nano, "month_limit_nano"),
        "max_live": check.number(request.concurrency or DEFAULT_MAX_LIVE, "concurrency", 1, MOST_LIVE),
        "expires_ms": check.expiry(request.expires_ms, now_ms),
        "allowed_ips": check.networks(request.allowed_ips, "allowed_ips"),
        "allowed_models": _models(request.allowed_models),
        **_per_minute(request),
    }


def said_of_an_edit(request: pb.EditKeyRequest, catalog: Catalog, owner: OwnerRecord) -> dict[str, Any]:
    """The terms that are named. Raises `Refused`."""
    said: dict[str, Any] = _per_minute(request)
    if request.HasField("name"):
        said["name"] = check.text(request.name, "name")
    if request.HasField("group"):
        said["group"] = _group(request.group, "group", catalog, owner)
    if request.HasField("fallback_groups"):
        said["fallback_groups"] = _groups(request.fallback_groups.names, catalog, owner)
    if request.HasField("cap_nano"):
        said["cap_nano"] = check.money(request.cap_nano, "cap_nano")
    if request.HasField("month_limit_nano"):
        said["month_limit_nano"] = check.money(request.month_limit_nano, "month_limit_nano")
    if request.HasField("concurrency"):
        said["max_live"] = check.number(request.concurrency, "concurrency", 1, MOST_LIVE)
    if request.HasField("expires_ms"):
        said["expires_ms"] = check.number(request.expires_ms, "expires_ms", 0, check.LAST_MS)
    if request.HasField("allowed_ips"):
        said["allowed_ips"] = check.networks(request.allowed_ips.names, "allowed_ips")
    if request.HasField("allowed_models"):
        said["allowed_models"] = _models(request.allowed_models.names)
    if request.HasField("status"):
        said["status"] = check.one_of(KeyStatus, request.status, "status", but=KeyStatus.DELETED)
    return said


def _per_minute(request: pb.CreateKeyRequest | pb.EditKeyRequest) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if request.HasField("requests_per_minute"):
        said["requests_per_minute"] = check.per_minute(request.requests_per_minute, "requests_per_minute")
    if request.HasField("tokens_per_minute"):
        said["tokens_per_minute"] = check.per_minute(request.tokens_per_minute, "tokens_per_minute")
    return said


def _groups(given: Sequence[str], catalog: Catalog, owner: OwnerRecord) -> tuple[str, ...]:
    return tuple(_group(one, "fallback_groups", catalog, owner) for one in check.words(given, "fallback_groups"))


def _group(group: str, what: str, catalog: Catalog, owner: OwnerRecord) -> str:
    if group not in catalog.groups:
        raise invalid(f"{what}: there is no group {group!r}; there are: {', '.join(sorted(catalog.groups))}")
    if not catalog.allows(owner.tier, group):
        raise invalid(f"{what}: {owner.owner} has the tier {owner.tier}, whose keys may not have the group {group}")
    return group


def _models(given: Sequence[str]) -> tuple[str, ...]:
    for model in given:
        if STAR in model[:-1]:
            raise invalid(f"allowed_models: {model!r} has a {STAR} before its end")
    return check.words(given, "allowed_models")
