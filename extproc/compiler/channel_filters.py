"""The upstream filters of a channel, which make a request that vendor's, and the secrets they inject.

They run once per attempt, on request headers that all attempts share. What one channel writes, the next still finds
(seen on Envoy 1.40.0: a vendor got another vendor's key). So they begin by removing and then set everything:

    clean → credential → path_and_model → upstream_codec
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Change
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRemoveOnMatch as RemoveOnMatch
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    ConfigSource,
    DataSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    PathConfigSource,
    TypedExtensionConfig,
    WatchedDirectory,
)
from envoy_data_plane.envoy.extensions.filters.http.credential_injector.v3 import CredentialInjector
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.http.upstream_codec.v3 import UpstreamCodec
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.injected_credentials.generic.v3 import Generic
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import GenericSecret, SdsSecretConfig, Secret
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any as AnyMessage

from extproc.compiler.discovery import Json, as_json, discovery_file, pack
from extproc.core.catalog import Catalog, Channel, Dialect, SecretRef
from extproc.errors import ConfigError
from extproc.names import CREDENTIAL_HEADERS, GATE_HEADER

CREDENTIAL_SHAPE: Final = {
    Dialect.OPENAI: ("authorization", "Bearer "),
    Dialect.ANTHROPIC: ("x-api-key", ""),
    Dialect.GEMINI: ("x-goog-api-key", ""),
}
"""Where each dialect's vendors expect their key, and what stands before it."""

CALLERS_OWN: Final = (
    "cookie",
    "proxy-authorization",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "x-forwarded-for",
    "x-forwarded-proto",
)
"""Of no vendor's business, or a choice among the operator's own accounts that is not the caller's to make."""

OUR_PREFIXES: Final = ("x-tollgate-", "x-envoy-")

_LUA: Final = (files("extproc.compiler") / "channel.lua").read_text()


def upstream_filters(channel: Channel) -> list[Json]:
    """The `http_filters` of one channel's cluster, in order."""
    credential = [_filter("credential", pack(_inject(channel)))] if channel.credential else []
    return [
        _filter("clean", pack(_clean(channel))),
        *credential,
        _path_and_model(channel),
        _filter("upstream_codec", pack(UpstreamCodec())),
    ]


def compile_secrets(catalog: Catalog) -> dict[str, str]:
    """The files for SDS by name: each says where a channel's credential is, so that it never passes through Python."""
    channels = (catalog.channels[name] for name in sorted(catalog.channels))
    return {
        secret_file(channel.cluster): discovery_file(channel.name, [_secret(channel.name, channel.credential)])
        for channel in channels
        if channel.credential
    }


def secret_file(cluster: str) -> str:
    """The name of the file that says where the credential of a cluster is."""
    return f"{cluster}.json"


def secret_path(channel: Channel) -> str:
    """The same in the run folder."""
    return f"secrets/{secret_file(channel.cluster)}"


def _filter(name: str, config: AnyMessage) -> Json:
    return as_json(HttpFilter(name=name, typed_config=config))


def _clean(channel: Channel) -> HeaderMutation:
    named = [Change(remove=header) for header in (*CREDENTIAL_HEADERS, *CALLERS_OWN)]
    gate = [_to_the_gate(limited) for limited in channel.clusters[1:]]
    return HeaderMutation(mutations=Mutations(request_mutations=[*named, *_ours(OUR_PREFIXES), *gate]))


def _to_the_gate(cluster: str) -> Change:
    header = HeaderValue(key=GATE_HEADER, value=cluster)
    action = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    return Change(append=HeaderValueOption(header=header, append_action=action))


def _ours(prefixes: Iterable[str]) -> list[Change]:
    return [Change(remove_on_match=RemoveOnMatch(key_matcher=StringMatcher(prefix=prefix))) for prefix in prefixes]


def _inject(channel: Channel) -> CredentialInjector:
    """Without the credential the request goes on to `path_and_model`, which refuses it with 503.

    The injector's own refusal would be a 401, and tell the caller that *their* key is wrong.
    """
    header, prefix = CREDENTIAL_SHAPE[channel.dialect]
    source = PathConfigSource(path=secret_path(channel), watched_directory=WatchedDirectory(path="secrets"))
    generic = Generic(
        header=header,
        header_value_prefix=prefix,
        credential=SdsSecretConfig(
            name=channel.name,
            sds_config=ConfigSource(resource_api_version=ApiVersion.V3, path_config_source=source),
        ),
    )
    return CredentialInjector(
        overwrite=True,
        allow_request_without_credential=True,
        credential=TypedExtensionConfig(name="envoy.http.injected_credentials.generic", typed_config=pack(generic)),
    )


def _path_and_model(channel: Channel) -> Json:
    context = {"channel": channel.name, "dialect": channel.dialect.value}
    if channel.credential:
        context["credential_header"] = CREDENTIAL_SHAPE[channel.dialect][0]
    document = _filter("path_and_model", pack(Lua(default_source_code=DataSource(inline_string=_LUA))))
    document["typed_config"]["filter_context"] = context  # a field that envoy-data-plane 2.2.0 does not have
    return document


@lru_cache(maxsize=4096)
def _secret(name: str, reference: SecretRef) -> Json:
    return as_json(pack(Secret(name=name, generic_secret=GenericSecret(secret=_source(name, reference)))))


def _source(name: str, reference: SecretRef) -> DataSource:
    if reference.scheme == "env":
        return DataSource(environment_variable=reference.name)
    if reference.scheme == "file" and PurePath(reference.name).is_absolute():
        return DataSource(filename=reference.name)
    raise ConfigError(f"channel {name}: credential must be env:NAME or file:/absolute/path, not {reference}")
