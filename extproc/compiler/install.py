"""The run folder: what Envoy starts from and watches. A file that Envoy would refuse never gets there.

Envoy applies a faulty cluster file *in part*: the good clusters of it, and the removal of those it no longer names. And
its own `--mode validate` does not look into the files it would watch (both seen on 1.40.0). So a candidate is built
aside, with the clusters put into its bootstrap; Envoy validates that; and only then is each file renamed into place.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

import yaml

from extproc.binaries import envoy_binary
from extproc.compiler.bootstrap import BOOTSTRAP, ROUTES, bootstrap_files, connection_managers, render_sidecar
from extproc.compiler.channel_filters import compile_secrets, secret_file
from extproc.compiler.clusters import compile_clusters
from extproc.compiler.discovery import Json
from extproc.compiler.edge import Edge, tls_files
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError
from extproc.names import ADMIN_DESCRIPTOR

BOOTSTRAP_SOURCE: Final = Path(__file__).parent / "envoy.yaml"  # a link to envoy/envoy.yaml, so that wheels have it too
DESCRIPTOR_SOURCE: Final = Path(__file__).parents[1] / "admin" / "pb" / "admin.pb"
CLUSTERS: Final = "clusters/clusters.json"
SECRETS: Final = "secrets"
TLS: Final = "tls"
SIDECAR: Final = "sidecar/sidecar.json"

_VALIDATION_SECONDS: Final = 60
_WHOLE: Final = "whole.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """The clusters in a run folder: their version, which Envoy reports when it has them, and their names."""

    version: str
    clusters: frozenset[str]


def write_run_folder(folder: Path, catalog: Catalog, *, workers: int, edge: Edge) -> Installed:
    """Write everything Envoy reads into a folder that exists.

    Clusters that are there already stay: an Envoy that somebody else runs may have requests on them. Raises
    `ConfigError`, and changes nothing, when Envoy would not accept it.
    """
    copies = {ADMIN_DESCRIPTOR: DESCRIPTOR_SOURCE} if edge.admin_port else {}
    install(folder, run_files(BOOTSTRAP_SOURCE.read_text(), edge, catalog, workers, _clusters(folder)), copies)
    return _installed(folder)


def write_clusters(folder: Path, catalog: Catalog, drop: Collection[str] = ()) -> Installed:
    """Write the clusters of this catalog into the folder of an Envoy that runs.

    Clusters that are there already stay, but those to drop. Raises `ConfigError`, and changes nothing, when Envoy
    would not accept it.
    """
    kept = {name: cluster for name, cluster in _clusters(folder).items() if name not in drop}
    install(folder, _cluster_files(catalog, kept))
    installed = _installed(folder)
    _remove_secrets(folder, installed.clusters)
    return installed


def run_files(
    bootstrap: str,
    edge: Edge,
    catalog: Catalog,
    workers: int,
    kept: Mapping[str, Json] = MappingProxyType({}),
) -> dict[str, str]:
    """Every text file of the run folder by its path, in the order to write them: what a file names comes before it."""
    return {
        SIDECAR: render_sidecar(workers),
        **_cluster_files(catalog, kept),
        **tls_files(edge),
        **bootstrap_files(bootstrap, edge),
    }


def _cluster_files(catalog: Catalog, kept: Mapping[str, Json]) -> dict[str, str]:
    secrets = {f"{SECRETS}/{name}": text for name, text in compile_secrets(catalog).items()}
    return {**secrets, CLUSTERS: compile_clusters(catalog, kept)}


def install(folder: Path, files: Mapping[str, str], copies: Mapping[str, Path] = MappingProxyType({})) -> None:
    """Rename these files into the run folder if Envoy accepts it with them; else `ConfigError`, and nothing changes.

    They are of this text, or copies of others.

    What is there already is left alone: a file that did not change is not loaded again.
    """
    with TemporaryDirectory(prefix=".candidate-", dir=folder) as aside:
        candidate = Path(aside) / "run"  # Envoy opens the journal beside it even to validate
        for path in (BOOTSTRAP, ROUTES, SIDECAR, SECRETS, TLS, ADMIN_DESCRIPTOR):
            _copy(folder / path, candidate / path)
        for path, source in copies.items():
            _copy(source, candidate / path)
        for path, text in files.items():
            (candidate / path).parent.mkdir(parents=True, exist_ok=True)
            (candidate / path).write_text(text)
        validate(candidate)
        for path in (*copies, *files):
            _replace(folder / path, candidate / path)


def validate(folder: Path) -> None:
    """Let Envoy check a run folder, all but the secrets, without starting. Raises `ConfigError` with Envoy's words."""
    whole = folder / _WHOLE
    whole.write_text(json.dumps(_whole_bootstrap(folder)))
    command = [str(envoy_binary()), "--mode", "validate", "-c", _WHOLE]
    try:
        done = subprocess.run(  # noqa: S603 - the binary of our own wheel
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_VALIDATION_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"Envoy took more than {_VALIDATION_SECONDS} s to check its configuration") from None
    finally:
        whole.unlink()
    if done.returncode:
        raise ConfigError(f"Envoy refuses the compiled configuration: {_complaint(done.stderr)}")


def _whole_bootstrap(folder: Path) -> dict[str, Any]:
    bootstrap = _read(folder / BOOTSTRAP)
    for cluster in _read(folder / CLUSTERS)["resources"]:
        cluster.pop("@type")
        bootstrap["static_resources"]["clusters"].append(cluster)
    routes = {each.pop("@type") and each["name"]: each for each in _read(folder / ROUTES)["resources"]}
    for connection_manager in connection_managers(bootstrap):
        if rds := connection_manager.pop("rds", None):
            connection_manager["route_config"] = routes[rds["route_config_name"]]
    return bootstrap


def _installed(folder: Path) -> Installed:
    document = _read(folder / CLUSTERS)
    return Installed(document["version_info"], frozenset(cluster["name"] for cluster in document["resources"]))


def _clusters(folder: Path) -> dict[str, Json]:
    if not (folder / CLUSTERS).exists():
        return {}
    return {cluster["name"]: cluster for cluster in _read(folder / CLUSTERS)["resources"]}


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text()
    try:
        document: dict[str, Any] = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    return document


def _complaint(stderr: str) -> str:
    """What is wrong. It stands first or last, before or after the whole of the configuration that it is about."""
    if crashed := re.search("assert failure: .* Details: (.*)", stderr):
        return crashed[1]
    found = re.search(rf"error initializing configuration '{_WHOLE}': (.*)", stderr, re.DOTALL)
    words = " ".join((found[1] if found else stderr).split())
    return words if len(words) <= 600 else f"{words[:300]} … {words[-300:]}"


def _copy(path: Path, candidate: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, candidate)
    elif path.exists():
        candidate.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, candidate)


def _remove_secrets(folder: Path, clusters: Collection[str]) -> None:
    """Those that belong to no cluster any more."""
    named = {secret_file(name) for name in clusters}
    for path in (folder / SECRETS).glob("*"):
        if path.name not in named:
            path.unlink()


def _replace(path: Path, candidate: Path) -> None:
    if path.exists() and path.read_bytes() == candidate.read_bytes():
        return
    path.parent.mkdir(exist_ok=True)
    candidate.replace(path)
