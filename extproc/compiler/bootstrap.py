"""`envoy/envoy.yaml`, laid out for one deployment: its values filled in, what it does without left out, the routes in a
file of their own. For Envoy makes the filters of every listener anew, but shares what it has by file: so a caller's
requests are counted together, whichever listener they come by.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, Final

import yaml
from envoy_data_plane.envoy.config.core.v3 import Address, Pipe, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import Endpoint as EnvoyEndpoint

from extproc.compiler.discovery import Json, as_json, discovery_file, pack
from extproc.compiler.edge import Edge
from extproc.errors import ConfigError
from extproc.names import SIDECAR_CLUSTER, worker_socket

BOOTSTRAP: Final = "envoy.yaml"
ROUTES: Final = "routes/routes.json"

_ROUTE_CONFIGURATION: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_BY_FILE: Final = {
    "resource_api_version": "V3",
    "path_config_source": {"path": ROUTES, "watched_directory": {"path": "routes"}},
}

Endpoint = tuple[str, int]
"""IP address and port."""


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


def bootstrap_files(text: str, edge: Edge) -> dict[str, str]:
    """The bootstrap and the file of its routes, by path. Raises `ConfigError`."""
    document = yaml.load(render_bootstrap(text, edge.values()), yaml.CSafeLoader)
    left_out = edge.left_out()
    resources = document["static_resources"]
    resources["listeners"] = _without(left_out, resources["listeners"])
    resources["clusters"] = _without(left_out, resources["clusters"])
    routes = {}
    for connection_manager in connection_managers(document):
        for part in ("access_log", "http_filters"):
            connection_manager[part] = _without(left_out, connection_manager.get(part, []))
        if "tracing" in left_out:
            connection_manager.pop("tracing", None)
        _put_scripts(connection_manager["http_filters"])
        if name := connection_manager["route_config"].get("name"):
            routes[name] = {"@type": _ROUTE_CONFIGURATION, **connection_manager.pop("route_config")}
            connection_manager["rds"] = {"route_config_name": name, "config_source": _BY_FILE}
    return {ROUTES: discovery_file("routes", list(routes.values())), BOOTSTRAP: yaml.safe_dump(document, width=1000)}


def connection_managers(document: Json) -> list[Json]:
    """What each listener of a bootstrap does with a connection, each once where listeners share it."""
    chains = (chain for listener in document["static_resources"]["listeners"] for chain in listener["filter_chains"])
    found = (chain["filters"][0]["typed_config"] for chain in chains)
    return list({id(each): each for each in found}.values())


def _put_scripts(http_filters: Sequence[Json]) -> None:
    """The text of each script in the place of its name, so that a bootstrap needs no file beside it."""
    for script in (each.get("typed_config", {}).get("default_source_code", {}) for each in http_filters):
        if name := script.pop("filename", None):
            script["inline_string"] = (files("extproc.compiler") / name).read_text()


def _without(names: Collection[str], items: list[Any]) -> list[Any]:
    return [item for item in items if item["name"] not in names]


def render_sidecar(count: int, others: Sequence[Endpoint] = ()) -> str:
    """The file for EDS: every worker is an endpoint of the sidecar cluster.

    Where there are workers of other machines, those of this one are asked when too few of the others answer.
    """
    own = [Address(pipe=Pipe(path=worker_socket(index))) for index in range(count)]
    far = [Address(socket_address=SocketAddress(address=host, port_value=port)) for host, port in others]
    assignment = ClusterLoadAssignment(
        cluster_name=SIDECAR_CLUSTER,
        endpoints=[_locality(own, 1), _locality(far, 0)] if far else [_locality(own, 0)],
    )
    return discovery_file(f"workers-{count + len(far)}", [as_json(pack(assignment))])


def _locality(addresses: Sequence[Address], priority: int) -> LocalityLbEndpoints:
    endpoints = [LbEndpoint(endpoint=EnvoyEndpoint(address=address)) for address in addresses]
    return LocalityLbEndpoints(priority=priority, lb_endpoints=endpoints)
