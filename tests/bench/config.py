"""A large configuration: how long loading and compiling take, and what resolving a request costs beside a small one."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from extproc.compiler.clusters import compile_clusters
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.chain import build_chain
from extproc.dialects.routes import CHAT

CHANNELS, GROUPS, MODELS = 1_000, 200, 5_000
MODELS_PER_CHANNEL, CHANNELS_PER_GROUP = 50, 10
ROUNDS, CALLS = 9, 2_000
PROMISED_US: Final = 10
ALLOWED_RATIO: Final = 1.5


def run(folder: Path, console: Console) -> dict[str, Any]:
    """Write both configurations, measure, and print; figures in seconds and µs of CPU."""
    small = _written(folder / "small", channels=10, groups=1, models=50)
    large = _written(folder / "large", CHANNELS, GROUPS, MODELS)
    loading, catalog = _timed(lambda: load(large, {}).catalog)
    compiling, _ = _timed(lambda: compile_clusters(catalog))
    small_us, large_us = _resolve_us(load(small, {}).catalog, catalog)
    table = Table(
        title=f"{CHANNELS:,} channels, {GROUPS} groups, {MODELS:,} models", title_justify="left", box=box.SIMPLE
    )
    for column in ("load, s", "compile, s", "resolve, µs", "resolve of 10 channels, µs", "ratio"):
        table.add_column(column, justify="right")
    ratio = large_us / small_us
    table.add_row(f"{loading:.1f}", f"{compiling:.1f}", f"{large_us:.1f}", f"{small_us:.1f}", f"{ratio:.2f}")
    console.print(table)
    return {"load_s": loading, "compile_s": compiling, "resolve_us": large_us, "resolve_ratio": ratio}


def grown(results: dict[str, Any]) -> str | None:
    """What is wrong when resolving costs more the more there is configured."""
    ratio = results["resolve_ratio"]
    return f"Resolving costs ×{ratio:.2f} in a large configuration." if ratio > ALLOWED_RATIO else None


def _written(folder: Path, channels: int, groups: int, models: int) -> Path:
    """Each group has ten channels in a row, of which each has five models that the one before has not."""
    folder.mkdir()
    names = [f"model-{number}" for number in range(models)]
    price = "{price: {input: 1.25, cache_read: 0.125, output: 10}, max_output_tokens: 4096}"
    (folder / "models.yaml").write_text("models:\n" + "".join(f"  {name}: {price}\n" for name in names))
    lines = ["channels:\n"]
    for number in range(channels):
        served = [names[(number * 5 + each) % models] for each in range(MODELS_PER_CHANNEL)]
        base_url = f"http://127.0.0.1:9/{number}/v1"
        listed = ", ".join(f"{name}: " for name in served)
        lines.append(f"  channel-{number}: {{dialect: openai, base_url: '{base_url}', models: {{{listed}}}}}\n")
    (folder / "channels.yaml").write_text("".join(lines))
    lines = ["groups:\n"]
    for number in range(groups):
        places = range(CHANNELS_PER_GROUP)
        members = [
            f"{{channel: channel-{(number * 5 + k) % channels}, priority: {k % 3}, weight: {k + 1}}}" for k in places
        ]
        lines.append(f"  group-{number}: {{channels: [{', '.join(members)}]}}\n")
    (folder / "groups.yaml").write_text("".join(lines))
    return folder


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


def _resolve_us(*catalogs: Catalog) -> list[float]:
    """µs of CPU for each chain of ten channels; the catalogs take turns, and the best round of each counts."""
    best = [float("inf")] * len(catalogs)
    for _ in range(ROUNDS):
        for place, catalog in enumerate(catalogs):
            draw, start = Random(1), time.process_time_ns()
            for _ in range(CALLS):
                build_chain(catalog, ["group-0"], "model-45", CHAT, draw)
            best[place] = min(best[place], (time.process_time_ns() - start) / CALLS / 1000)
    return best
