"""What is filled into `envoy/envoy.yaml`: the values of one deployment, and the sockets of its workers."""

import json
import re
from collections.abc import Mapping
from string import Template
from typing import Final

from envoy_data_plane.envoy.config.core.v3 import Address, Pipe
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)

from extproc.compiler.discovery import as_json, discovery_file, pack
from extproc.errors import ConfigError
from extproc.names import SIDECAR_CLUSTER, worker_socket

LISTEN: Final = "TOLLGATE_LISTEN"
PORT: Final = "TOLLGATE_PORT"
METRICS_ADDRESS: Final = "TOLLGATE_METRICS_ADDRESS"
METRICS_SOCKET: Final = "metrics.sock"


class _Placeholders(Template):
    """Only `${TOLLGATE_…}`: any other dollar in the file is a mistake."""

    flags = re.NOFLAG
    idpattern = "(?!)"  # never: `$NAME` is not a placeholder
    braceidpattern = "TOLLGATE_[A-Z_]+"


def render_bootstrap(text: str, values: Mapping[str, str]) -> str:
    """The bootstrap with its placeholders filled in. ConfigError unless `values` names exactly those there are."""
    template = _Placeholders(text)
    if not template.is_valid():
        raise ConfigError("envoy.yaml: a '$' that does not begin a ${TOLLGATE_…} placeholder")
    placeholders = set(template.get_identifiers())
    if missing := placeholders - values.keys():
        raise ConfigError(f"envoy.yaml: no value for {', '.join(sorted(missing))}")
    if unknown := values.keys() - placeholders:
        raise ConfigError(f"envoy.yaml: has no placeholder {', '.join(sorted(unknown))}")
    return template.substitute(values)


def metrics_address(listen: str, port: int) -> str:
    """Where Envoy's own metrics are: at a port, or for port 0 at a socket that nobody but its owner reaches."""
    if port:
        return json.dumps({"socket_address": {"address": listen, "port_value": port}})
    return json.dumps({"pipe": {"path": METRICS_SOCKET, "mode": 0o600}})


def render_sidecar(count: int) -> str:
    """The file for EDS: every worker is an endpoint of the sidecar cluster."""
    assignment = ClusterLoadAssignment(
        cluster_name=SIDECAR_CLUSTER,
        endpoints=[LocalityLbEndpoints(lb_endpoints=[_endpoint(index) for index in range(count)])],
    )
    return discovery_file(f"workers-{count}", [as_json(pack(assignment))])


def _endpoint(index: int) -> LbEndpoint:
    return LbEndpoint(endpoint=Endpoint(address=Address(pipe=Pipe(path=worker_socket(index)))))
