"""What the vendor really produced, and what the ledger charged for it, request by request."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.calls import price_nano


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request was charged in all, and the state it ended in; the operation, where the entry tells it."""

    state: str = "unknown to the ledger"
    nano: int = 0
    operation: str = ""

    def __str__(self) -> str:
        return f"{self.nano} nano ({self.state}, {self.operation})"


class VendorLog:
    """The simulator's file, which outlives its process: a line for every write of an answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._told: dict[str, dict[tuple[int, int], int]] = {}

    def produced_nano(self) -> dict[str, int]:
        """The price of what was put on the wire so far, by request id."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                said = json.loads(line)
                nano = price_nano(said["produced"]) if said["produced"] else 0
                self._told.setdefault(said["request_id"], {})[said["process"], said["seq"]] = nano
            self._offset = file.tell()
        return {request_id: sum(answers.values()) for request_id, answers in self._told.items()}


def charges(usage: Iterable[Mapping[str, Any]]) -> dict[str, Charge]:
    """What the usage log's entries add up to, by request id."""
    found: dict[str, Charge] = {}
    for entry in usage:
        nano = found.get(entry["request_id"], Charge()).nano + entry["charged_nano"]
        found[entry["request_id"]] = Charge(entry["state"], nano, entry.get("operation", ""))
    return found
