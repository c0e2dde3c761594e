"""A plan for a person, and for a script. It never has a plaintext."""

from collections.abc import Sequence
from typing import Any

from extproc.cli.plan import Action, Step
from extproc.cli.printing import clean, console
from extproc.cli.values import share, shown_cap, shown_quota, shown_time

_SIGNS = {Action.CREATE: ("+", "green"), Action.EDIT: ("~", "yellow"), Action.DELETE: ("-", "red")}
_DEFAULTS: tuple[Any, ...] = ("", [], None, "none", "never", "as the group says", "active")
"""What is not worth a line in something new."""


def print_plan(plan: Sequence[Step]) -> None:
    """A line for each step, and below it one for each field: as it is → as it is to be."""
    for step in plan:
        sign, colour = _SIGNS[step.action]
        key_id = f" ({step.key_id})" if step.key_id else ""
        console.print(clean(f"{sign} {step.kind} {step.name}{key_id}"), style=colour)
        for name, (old, new) in step.changes.items():
            words, after = _NAMES.get(name, name.replace("_", " ")), _shown(name, new)
            if step.action is Action.EDIT:
                console.print(clean(f"    {words}: {_shown(name, old)} → {after}"))
            elif after not in _DEFAULTS:
                console.print(clean(f"    {words}: {after}"))


def plan_as_json(plan: Sequence[Step]) -> list[dict[str, Any]]:
    """The same for a script."""
    return [
        {
            "action": step.action,
            "kind": step.kind,
            "name": step.name,
            "key_id": step.key_id or None,
            "changes": {name: {"old": old, "new": new} for name, (old, new) in step.changes.items()},
        }
        for step in plan
    ]


_NAMES = {
    "cap_nano": "cap",
    "discount_ppm": "pays",
    "expires_ms": "expires",
    "month_limit_nano": "monthly limit",
    "quota_nano": "quota",
}


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    match name:
        case "cap_nano" | "month_limit_nano":
            return shown_cap(value)
        case "quota_nano":
            return shown_quota(value)
        case "discount_ppm":
            return share(value)
        case "expires_ms":
            return shown_time(value) if value else "never"
        case "requests_per_minute" | "tokens_per_minute" if value is None:
            return "as the group says"
    return str(value)
