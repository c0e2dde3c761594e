"""The manifests: valid by Kubernetes' own schemas, locked down, and whole: whatever one names, another has."""

import re
from collections.abc import Callable
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from kubernetes_validate import ValidationError

from extproc.core.ledger import HOLD_MS
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    REPOSITORY,
    Manifest,
    containers,
    of_kind,
    pod,
    ports,
    read,
    references,
    rendered,
    selected,
    settings,
    workloads,
)

OLDEST, NEWEST = "1.29", "1.37"
"""Of Kubernetes: 1.29 is the first in which an init container may stay."""

USER = 10001
GROUP = "gateway.envoyproxy.io"

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


# --- Schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@each_overlay
def test_every_manifest_is_valid(overlay: str, version: str) -> None:
    """Kubernetes' own schemas accept each manifest, and know every field in it."""
    for manifest in rendered(overlay):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_example_of_secrets_is_valid() -> None:
    """What a person copies is accepted, too."""
    for manifest in read("secrets.example.yaml"):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


def test_a_misspelled_field_is_found() -> None:
    """The schemas are strict: a field that Kubernetes would drop in silence is an error here."""
    wrong = {**of_kind(rendered("sidecar"), "PodDisruptionBudget")["tollgate-gateway"]}
    wrong["spec"] = {**wrong["spec"], "maxUnavailible": 1}
    with pytest.raises(ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


# --- Security ---------------------------------------------------------------------------------------------------------

OF_CONTAINERS: dict[str, Callable[[Manifest], Any]] = {
    "cannot become root": lambda each: each["securityContext"]["runAsNonRoot"] is True,
    "cannot gain privileges": lambda each: each["securityContext"]["allowPrivilegeEscalation"] is False,
    "is not privileged": lambda each: "privileged" not in each["securityContext"],
    "has no capability": lambda each: each["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "cannot write to its image": lambda each: each["securityContext"]["readOnlyRootFilesystem"] is True,
    "has the runtime's system calls": lambda each: (
        each["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    ),
    "cannot write to its configuration": lambda each: all(
        mount.get("readOnly") for mount in each["volumeMounts"] if mount["mountPath"].startswith("/etc/")
    ),
    "has an image of one version": lambda each: re.search(r"(:v?\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})$", each["image"]),
    "asks for CPU and memory": lambda each: each["resources"]["requests"].keys() == {"cpu", "memory"},
    "has a limit of memory": lambda each: "memory" in each["resources"]["limits"],
    "is asked how it is": lambda each: each.keys() >= {"startupProbe", "readinessProbe", "livenessProbe"},
}

OF_PODS: dict[str, Callable[[Manifest], Any]] = {
    "has no token": lambda each: each["automountServiceAccountToken"] is False,
    "has an account of its own": lambda each: each["serviceAccountName"] == "tollgate",
    "runs as the image's user": lambda each: (
        {each["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}
    ),
    "shares nothing of its node": lambda each: (
        not each.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        and not any("hostPath" in volume for volume in each["volumes"])
    ),
    "is spread over zones and nodes": lambda each: (
        {constraint["topologyKey"] for constraint in each["topologySpreadConstraints"]}
        == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    ),
}


@pytest.mark.parametrize("what", OF_CONTAINERS)
@each_overlay
def test_every_container(overlay: str, what: str) -> None:
    """The property that it is named by holds for all containers."""
    for workload in workloads(rendered(overlay)).values():
        for container in containers(workload):
            assert OF_CONTAINERS[what](container), f"{container['name']} of {workload['metadata']['name']}"


@pytest.mark.parametrize("what", OF_PODS)
@each_overlay
def test_every_pod(overlay: str, what: str) -> None:
    """The property that it is named by holds for all pods."""
    for name, workload in workloads(rendered(overlay)).items():
        assert OF_PODS[what](pod(workload)), name


@each_overlay
def test_the_image_is_the_one_that_the_dockerfile_makes(overlay: str) -> None:
    """The user of the pods is the image's, and its version is the project's."""
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert f"USER {USER}:{USER}" in dockerfile
    version = re.search(r'^version = "(.*)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for workload in workloads(rendered(overlay)).values():
        assert {each["image"] for each in containers(workload)} == {f"registry.example/tollgate:{version[1]}"}


@each_overlay
def test_vendors_credentials_are_in_envoy_alone(overlay: str) -> None:
    """Only the container named envoy gets the Secret of the vendors; the others know which credentials there are."""
    told = [
        container["name"]
        for workload in workloads(rendered(overlay)).values()
        for container in containers(workload)
        for source in container.get("envFrom", [])
        if source.get("secretRef", {}).get("name") == "tollgate-vendors"
    ]
    assert told == ["envoy"]
    (known,) = (each["data"] for name, each in config_maps(overlay).items() if name.startswith("tollgate-vendors-"))
    assert known.keys() == secrets()["tollgate-vendors"].keys()


# --- What one names, another has --------------------------------------------------------------------------------------


def config_maps(overlay: str) -> dict[str, Manifest]:
    """Those of an overlay, by name."""
    return of_kind(rendered(overlay), "ConfigMap")


def secrets() -> dict[str, Manifest]:
    """What the example says there must be: the keys of each Secret."""
    return {each["metadata"]["name"]: each["stringData"] for each in read("secrets.example.yaml")}


@each_overlay
def test_every_reference_is_there(overlay: str) -> None:
    """Each ConfigMap is made here, and each Secret, with its key, is in the example."""
    known = {"ConfigMap": {name: each["data"] for name, each in config_maps(overlay).items()}, "Secret": secrets()}
    for workload in workloads(rendered(overlay)).values():
        for kind, name, key in references(workload):
            assert name in known[kind], f"{kind} {name}"
            assert key is None or key in known[kind][name], f"{kind} {name}: {key}"


@each_overlay
def test_every_mount_has_its_volume(overlay: str) -> None:
    """What a container mounts is a volume or a claim of its pod."""
    for workload in workloads(rendered(overlay)).values():
        claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {each["name"] for each in pod(workload)["volumes"]} | claims
        assert {mount["name"] for each in containers(workload) for mount in each["volumeMounts"]} == volumes


@each_overlay
def test_every_port_is_one_of_a_container(overlay: str) -> None:
    """Services, probes and what a NetworkPolicy lets in name ports that their pods have."""
    manifests = rendered(overlay)
    for workload in workloads(manifests).values():
        for container in containers(workload):
            probes = [container[f"{when}Probe"] for when in ("startup", "readiness", "liveness")]
            asked = {(each.get("httpGet") or each.get("tcpSocket") or each["grpc"])["port"] for each in probes}
            own = {port[by] for port in container["ports"] for by in ("name", "containerPort")}
            assert asked <= own
    for service in of_kind(manifests, "Service").values():
        (target,) = (each for each in workloads(manifests).values() if selected(service["spec"]["selector"], each))
        for port in service["spec"]["ports"]:
            assert (port["targetPort"], port.get("protocol", "TCP")) in ports(target)
    for policy in of_kind(manifests, "NetworkPolicy").values():
        for target in workloads(manifests).values():
            if (labels := policy["spec"]["podSelector"].get("matchLabels")) and selected(labels, target):
                let_in = {(p["port"], p["protocol"]) for rule in policy["spec"]["ingress"] for p in rule["ports"]}
                assert let_in <= ports(target)


@each_overlay
def test_every_workload_is_selected_once(overlay: str) -> None:
    """Each has one autoscaler, one disruption budget and one policy, and each of those has a workload."""
    manifests = rendered(overlay)
    names = workloads(manifests).keys()
    scaled = [each["spec"]["scaleTargetRef"] for each in of_kind(manifests, "HorizontalPodAutoscaler").values()]
    assert {(each["kind"], each["name"]) for each in scaled} == {
        (w["kind"], n) for n, w in workloads(manifests).items()
    }
    for kind, selector in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        chosen = [each["spec"][selector].get("matchLabels", {}) for each in of_kind(manifests, kind).values()]
        found = [name for name in names for labels in chosen if labels and selected(labels, workloads(manifests)[name])]
        assert sorted(found) == sorted(names)
    for workload in workloads(manifests).values():
        assert selected(workload["spec"]["selector"]["matchLabels"], workload)


@each_overlay
def test_scaled_containers_exist_and_ask_for_cpu(overlay: str) -> None:
    """An autoscaler looks at a container by its name, as a share of what that asks for."""
    manifests = rendered(overlay)
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler").values():
        target = workloads(manifests)[scaler["spec"]["scaleTargetRef"]["name"]]
        asking = {each["name"] for each in containers(target) if "cpu" in each["resources"]["requests"]}
        assert {each["containerResource"]["container"] for each in scaler["spec"]["metrics"]} <= asking


# --- What the gateway needs -------------------------------------------------------------------------------------------


def gateway(overlay: str) -> Manifest:
    """The set whose pods have an Envoy."""
    return workloads(rendered(overlay))["tollgate-gateway"]


def test_the_config_map_is_the_whole_folder() -> None:
    """Every YAML of config/ is in the ConfigMap, word for word, under a name that an edit does not change."""
    (data,) = (each["data"] for name, each in config_maps("sidecar").items() if name == "tollgate-config")
    folder = {path.name: path.read_text() for path in (REPOSITORY / "config").glob("*.yaml")}
    del folder["kustomization.yaml"]
    assert data == folder


@each_overlay
def test_the_journal_outlives_the_pod(overlay: str) -> None:
    """Envoy writes it into the folder above its working directory: a claim, of which every pod has its own."""
    (claim,) = gateway(overlay)["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert gateway(overlay)["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }
    assert "path: ../journal.jsonl" in (REPOSITORY / "envoy" / "envoy.yaml").read_text()
    for container in containers(gateway(overlay)):
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts["/data"] == claim["metadata"]["name"]
        assert mounts["/data/run"] == "run"
    (envoy,) = pod(gateway(overlay))["containers"]
    assert envoy["workingDir"] == "/data/run"


@each_overlay
def test_a_pod_ends_when_its_streams_have(overlay: str) -> None:
    """Envoy is let go after its last request, the sidecar after Envoy; the time is that of the longest stream."""
    spec = pod(gateway(overlay))
    (envoy,), (sidecar,) = spec["containers"], spec["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    command = envoy["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:2] == ["tollgate", "drain"]
    at_most = int(command[command.index("--at-most") + 1])
    stream_seconds = HOLD_MS // 1000 - 120
    assert stream_seconds <= at_most
    assert at_most + 60 <= spec["terminationGracePeriodSeconds"]


@each_overlay
def test_envoys_memory_ends_before_its_container(overlay: str) -> None:
    """Its overload manager leaves a quarter of the container's limit for what it does not count."""
    (envoy,), (sidecar,) = pod(gateway(overlay))["containers"], pod(gateway(overlay))["initContainers"]
    assert envoy["resources"]["limits"]["memory"] == "2Gi"
    assert int(settings(sidecar)["TOLLGATE_MAX_HEAP_BYTES"]) == 2 * 1024**3 * 3 // 4


def test_envoy_finds_the_other_workers() -> None:
    """The gateway is told the Service of the Deployment, and the port on which its one worker listens."""
    manifests = rendered("separate")
    (sidecar,) = pod(workloads(manifests)["tollgate-sidecar"])["containers"]
    listens = settings(sidecar)["TOLLGATE_WORKER_LISTEN"].rpartition(":")[2]
    assert settings(sidecar)["TOLLGATE_WORKERS"] == "1"
    name, _, port = settings(pod(gateway("separate"))["initContainers"][0])["TOLLGATE_OTHER_WORKERS"].rpartition(":")
    service = of_kind(manifests, "Service")[name]
    assert service["spec"]["clusterIP"] == "None"
    assert listens == port
    assert (int(port), "TCP") in ports(workloads(manifests)["tollgate-sidecar"])


# --- Who may speak to whom --------------------------------------------------------------------------------------------

ALLOWED = {
    "sidecar": {
        ("gateway", "in", "anybody", 8443),
        ("gateway", "in", "monitoring", 9464),
        ("gateway", "in", "monitoring", 9465),
        ("gateway", "out", "kube-system", 53),
        ("gateway", "out", "private", 6379),
        ("gateway", "out", "internet", 443),
    }
}
ALLOWED["separate"] = ALLOWED["sidecar"] | {
    ("gateway", "out", "sidecar", 50051),
    ("sidecar", "in", "gateway", 50051),
    ("sidecar", "in", "monitoring", 9464),
    ("sidecar", "out", "kube-system", 53),
    ("sidecar", "out", "private", 6379),
}


def peers(rule: Manifest) -> set[str]:
    """Whom a rule is about."""
    found = set()
    for peer in rule.get("from", []) + rule.get("to", []):
        if block := peer.get("ipBlock"):
            found.add("internet" if "except" in block else "private")
        elif spaces := peer.get("namespaceSelector"):
            found.add(spaces["matchLabels"]["kubernetes.io/metadata.name"])
        else:
            found.add(peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"])
    return found or {"anybody"}


@each_overlay
def test_the_network_is_closed_but_for_this(overlay: str) -> None:
    """What is allowed is this table; a policy for all pods of the namespace forbids the rest."""
    policies = of_kind(rendered(overlay), "NetworkPolicy")
    nothing = policies.pop("tollgate-nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {
        (policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], way, peer, port["port"])
        for policy in policies.values()
        for way, rules in (("in", policy["spec"]["ingress"]), ("out", policy["spec"]["egress"]))
        for rule in rules
        for peer in peers(rule)
        for port in rule["ports"]
    } == ALLOWED[overlay]


@each_overlay
def test_the_internet_is_not_our_network(overlay: str) -> None:
    """A vendor's name that resolves to an address of the cluster, or to the cloud's metadata, is not reached."""
    egress = of_kind(rendered(overlay), "NetworkPolicy")["tollgate-gateway"]["spec"]["egress"]
    blocks = [peer["ipBlock"] for rule in egress for peer in rule["to"] if "ipBlock" in peer]
    left_out = {block["cidr"]: set(block["except"]) for block in blocks if "except" in block}
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    assert left_out["0.0.0.0/0"] == private | {"100.64.0.0/10", "169.254.0.0/16"}
    assert left_out["::/0"] == {"fc00::/7", "fe80::/10"}


# --- Envoy Gateway ----------------------------------------------------------------------------------------------------

EXT_PROC = {"backendRefs", "backendSettings", "failOpen", "messageTimeout", "metadata", "processingMode", "stage"}
"""The fields that there are (envoyproxy/gateway, api/v1alpha1/ext_proc_types.go): no package has their schema."""


def test_the_example_for_envoy_gateway_names_what_is_there() -> None:
    """Its policy has fields that the API has, and asks the workers at the Service and port of the overlay."""
    policy, proxy, network = read("envoy-gateway/extension-policy.yaml")
    assert {policy["apiVersion"], proxy["apiVersion"]} == {f"{GROUP}/v1alpha1"}
    (ext_proc,) = policy["spec"]["extProc"]
    assert ext_proc.keys() <= EXT_PROC
    assert ext_proc["failOpen"] is False
    sink = proxy["spec"]["telemetry"]["accessLog"]["settings"][0]["sinks"][0]["als"]
    for reference in (*ext_proc["backendRefs"], *sink["backendRefs"]):
        service = of_kind(rendered("separate"), "Service")[reference["name"]]
        assert reference["port"] in {port["port"] for port in service["spec"]["ports"]}
    kubernetes_validate.validate(network, NEWEST, strict=True)
    target = workloads(rendered("separate"))["tollgate-sidecar"]
    assert selected(network["spec"]["podSelector"]["matchLabels"], target)


def test_in_front_of_either_overlay() -> None:
    """The route's backend, and the port by name, are those of the Service for callers."""
    route, tls = read("envoy-gateway/in-front.yaml")
    (backend,) = route["spec"]["rules"][0]["backendRefs"]
    (target,) = tls["spec"]["targetRefs"]
    for overlay in OVERLAYS:
        named = {
            (service["metadata"]["name"], port["name"], port["port"])
            for service in of_kind(rendered(overlay), "Service").values()
            for port in service["spec"]["ports"]
        }
        assert (backend["name"], target["sectionName"], backend["port"]) in named


def test_every_file_is_applied_or_an_example() -> None:
    """No manifest lies about that nobody names."""
    named = {"secrets.example.yaml", "envoy-gateway/extension-policy.yaml", "envoy-gateway/in-front.yaml"}
    for path in KUBERNETES.rglob("kustomization.yaml"):
        here = yaml.safe_load(path.read_text())
        named.add(path.relative_to(KUBERNETES).as_posix())
        listed = [*here["resources"], *(patch["path"] for patch in here.get("patches", []) if "path" in patch)]
        files = (path.parent / each for each in listed if each.endswith(".yaml"))
        named |= {each.relative_to(KUBERNETES).as_posix() for each in files}
    assert {path.relative_to(KUBERNETES).as_posix() for path in KUBERNETES.rglob("*.yaml")} == named
