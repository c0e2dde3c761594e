"""Draws the figures: `python plot.py FIGURES.json PLOT.png`, in the peers' own environment, which has matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt  # type: ignore[import-not-found]  # Tollgate's environment lacks it

ROWS = (("requests_per_second", "requests/s (more is better)"), ("cpu_us", "CPU per request, µs (less is better)"))
SHADES = ("#9ecae1", "#4292c6", "#08519c")


def main(figures: Path, image: Path) -> None:
    """One column of panels per kind of request, one bar per gateway and connection count; scales are logarithmic."""
    data = json.loads(figures.read_text())
    asks, connections = data["asks"], data["connections"]
    figure, panels = plt.subplots(len(ROWS), len(asks), figsize=(4.2 * len(asks), 7.5), sharey="row", squeeze=False)
    for row, (measure, label) in zip(panels, ROWS, strict=True):
        row[0].set_ylabel(label)
        for panel, ask in zip(row, asks, strict=True):
            bars = [bar for bar in data["bars"] if bar["ask"] == ask and bar[measure] > 0]
            _draw(panel, bars, connections, measure)
    for panel, ask in zip(panels[0], asks, strict=True):
        panel.set_title(ask, fontsize=10)
    panels[0][-1].legend(title="connections", fontsize=8)
    figure.tight_layout()
    figure.savefig(image, dpi=110)


def _draw(panel: Any, bars: list[dict[str, Any]], connections: list[int], measure: str) -> None:
    peers = list(dict.fromkeys(bar["peer"] for bar in bars))
    width = 0.8 / len(connections)
    for place, (count, shade) in enumerate(zip(connections, SHADES, strict=False)):
        heights = {bar["peer"]: bar[measure] for bar in bars if bar["connections"] == count}
        at = [peers.index(peer) + (place - (len(connections) - 1) / 2) * width for peer in heights]
        panel.bar(at, list(heights.values()), width, label=str(count), color=shade)
    panel.set_yscale("log")
    panel.set_xticks(range(len(peers)), peers, rotation=40, ha="right", fontsize=8)
    panel.grid(axis="y", alpha=0.3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
