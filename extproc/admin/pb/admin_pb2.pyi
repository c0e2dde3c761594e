from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Names(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Principal(_message.Message):
    __slots__ = ("name", "scopes", "person")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    person: str
    def __init__(self, name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., person: _Optional[str] = ...) -> None: ...

class Owner(_message.Message):
    __slots__ = ("owner", "tier", "discount_ppm", "status", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_PPM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    tier: str
    discount_ppm: int
    status: str
    revision: int
    def __init__(self, owner: _Optional[str] = ..., tier: _Optional[str] = ..., discount_ppm: _Optional[int] = ..., status: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ListOwnersRequest(_message.Message):
    __slots__ = ("page_size", "cursor")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    cursor: str
    def __init__(self, page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListOwnersResponse(_message.Message):
    __slots__ = ("owners", "next_cursor")
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    owners: _containers.RepeatedCompositeFieldContainer[Owner]
    next_cursor: str
    def __init__(self, owners: _Optional[_Iterable[_Union[Owner, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetOwnerRequest(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class EditOwnerRequest(_message.Message):
    __slots__ = ("owner", "tier", "discount_ppm", "status", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_PPM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    tier: str
    discount_ppm: int
    status: str
    revision: int
    def __init__(self, owner: _Optional[str] = ..., tier: _Optional[str] = ..., discount_ppm: _Optional[int] = ..., status: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Team(_message.Message):
    __slots__ = ("owner", "team", "title", "quota_nano", "held_nano", "used_nano", "members", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_NANO_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_FIELD_NUMBER: _ClassVar[int]
    USED_NANO_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    title: str
    quota_nano: int
    held_nano: int
    used_nano: int
    members: _containers.RepeatedCompositeFieldContainer[Member]
    revision: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., title: _Optional[str] = ..., quota_nano: _Optional[int] = ..., held_nano: _Optional[int] = ..., used_nano: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("member", "role", "quota_nano", "held_nano", "used_nano")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_NANO_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_FIELD_NUMBER: _ClassVar[int]
    USED_NANO_FIELD_NUMBER: _ClassVar[int]
    member: str
    role: str
    quota_nano: int
    held_nano: int
    used_nano: int
    def __init__(self, member: _Optional[str] = ..., role: _Optional[str] = ..., quota_nano: _Optional[int] = ..., held_nano: _Optional[int] = ..., used_nano: _Optional[int] = ...) -> None: ...

class ListTeamsRequest(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class ListTeamsResponse(_message.Message):
    __slots__ = ("teams",)
    TEAMS_FIELD_NUMBER: _ClassVar[int]
    teams: _containers.RepeatedCompositeFieldContainer[Team]
    def __init__(self, teams: _Optional[_Iterable[_Union[Team, _Mapping]]] = ...) -> None: ...

class CreateTeamRequest(_message.Message):
    __slots__ = ("owner", "team", "title", "quota_nano")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_NANO_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    title: str
    quota_nano: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., title: _Optional[str] = ..., quota_nano: _Optional[int] = ...) -> None: ...

class GetTeamRequest(_message.Message):
    __slots__ = ("owner", "team")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ...) -> None: ...

class EditTeamRequest(_message.Message):
    __slots__ = ("owner", "team", "title", "quota_nano", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_NANO_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    title: str
    quota_nano: int
    revision: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., title: _Optional[str] = ..., quota_nano: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class DeleteTeamRequest(_message.Message):
    __slots__ = ("owner", "team", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    revision: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class PutMemberRequest(_message.Message):
    __slots__ = ("owner", "team", "member", "role", "quota_nano", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_NANO_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    member: str
    role: str
    quota_nano: int
    revision: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., role: _Optional[str] = ..., quota_nano: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class RemoveMemberRequest(_message.Message):
    __slots__ = ("owner", "team", "member", "revision")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    member: str
    revision: int
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("key_id", "prefix", "owner", "team", "member", "name", "group", "fallback_groups", "cap_nano", "month_limit_nano", "held_nano", "used_nano", "concurrency", "requests_per_minute", "tokens_per_minute", "expires_ms", "allowed_ips", "allowed_models", "status", "overlap_until_ms", "revision", "month_used_nano")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_GROUPS_FIELD_NUMBER: _ClassVar[int]
    CAP_NANO_FIELD_NUMBER: _ClassVar[int]
    MONTH_LIMIT_NANO_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_FIELD_NUMBER: _ClassVar[int]
    USED_NANO_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MONTH_USED_NANO_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    prefix: str
    owner: str
    team: str
    member: str
    name: str
    group: str
    fallback_groups: _containers.RepeatedScalarFieldContainer[str]
    cap_nano: int
    month_limit_nano: int
    held_nano: int
    used_nano: int
    concurrency: int
    requests_per_minute: int
    tokens_per_minute: int
    expires_ms: int
    allowed_ips: _containers.RepeatedScalarFieldContainer[str]
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    status: str
    overlap_until_ms: int
    revision: int
    month_used_nano: int
    def __init__(self, key_id: _Optional[str] = ..., prefix: _Optional[str] = ..., owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., name: _Optional[str] = ..., group: _Optional[str] = ..., fallback_groups: _Optional[_Iterable[str]] = ..., cap_nano: _Optional[int] = ..., month_limit_nano: _Optional[int] = ..., held_nano: _Optional[int] = ..., used_nano: _Optional[int] = ..., concurrency: _Optional[int] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., expires_ms: _Optional[int] = ..., allowed_ips: _Optional[_Iterable[str]] = ..., allowed_models: _Optional[_Iterable[str]] = ..., status: _Optional[str] = ..., overlap_until_ms: _Optional[int] = ..., revision: _Optional[int] = ..., month_used_nano: _Optional[int] = ...) -> None: ...

class NewKey(_message.Message):
    __slots__ = ("key", "plaintext")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PLAINTEXT_FIELD_NUMBER: _ClassVar[int]
    key: Key
    plaintext: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., plaintext: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("owner", "team", "member", "page_size", "cursor")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    member: str
    page_size: int
    cursor: str
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_cursor")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    next_cursor: str
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("owner", "team", "member", "name", "group", "fallback_groups", "cap_nano", "month_limit_nano", "concurrency", "requests_per_minute", "tokens_per_minute", "expires_ms", "allowed_ips", "allowed_models")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_GROUPS_FIELD_NUMBER: _ClassVar[int]
    CAP_NANO_FIELD_NUMBER: _ClassVar[int]
    MONTH_LIMIT_NANO_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    owner: str
    team: str
    member: str
    name: str
    group: str
    fallback_groups: _containers.RepeatedScalarFieldContainer[str]
    cap_nano: int
    month_limit_nano: int
    concurrency: int
    requests_per_minute: int
    tokens_per_minute: int
    expires_ms: int
    allowed_ips: _containers.RepeatedScalarFieldContainer[str]
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., name: _Optional[str] = ..., group: _Optional[str] = ..., fallback_groups: _Optional[_Iterable[str]] = ..., cap_nano: _Optional[int] = ..., month_limit_nano: _Optional[int] = ..., concurrency: _Optional[int] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., expires_ms: _Optional[int] = ..., allowed_ips: _Optional[_Iterable[str]] = ..., allowed_models: _Optional[_Iterable[str]] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class EditKeyRequest(_message.Message):
    __slots__ = ("key_id", "name", "group", "fallback_groups", "cap_nano", "month_limit_nano", "concurrency", "requests_per_minute", "tokens_per_minute", "expires_ms", "allowed_ips", "allowed_models", "status", "revision")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_GROUPS_FIELD_NUMBER: _ClassVar[int]
    CAP_NANO_FIELD_NUMBER: _ClassVar[int]
    MONTH_LIMIT_NANO_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_IPS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    name: str
    group: str
    fallback_groups: Names
    cap_nano: int
    month_limit_nano: int
    concurrency: int
    requests_per_minute: int
    tokens_per_minute: int
    expires_ms: int
    allowed_ips: Names
    allowed_models: Names
    status: str
    revision: int
    def __init__(self, key_id: _Optional[str] = ..., name: _Optional[str] = ..., group: _Optional[str] = ..., fallback_groups: _Optional[_Union[Names, _Mapping]] = ..., cap_nano: _Optional[int] = ..., month_limit_nano: _Optional[int] = ..., concurrency: _Optional[int] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., expires_ms: _Optional[int] = ..., allowed_ips: _Optional[_Union[Names, _Mapping]] = ..., allowed_models: _Optional[_Union[Names, _Mapping]] = ..., status: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("key_id", "overlap_seconds", "revision")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    overlap_seconds: int
    revision: int
    def __init__(self, key_id: _Optional[str] = ..., overlap_seconds: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class DeleteKeyRequest(_message.Message):
    __slots__ = ("key_id", "revision")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    revision: int
    def __init__(self, key_id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Wallet(_message.Message):
    __slots__ = ("owner", "limit_nano", "held_nano", "used_nano", "available_nano")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANO_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_FIELD_NUMBER: _ClassVar[int]
    USED_NANO_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_NANO_FIELD_NUMBER: _ClassVar[int]
    owner: str
    limit_nano: int
    held_nano: int
    used_nano: int
    available_nano: int
    def __init__(self, owner: _Optional[str] = ..., limit_nano: _Optional[int] = ..., held_nano: _Optional[int] = ..., used_nano: _Optional[int] = ..., available_nano: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("kind", "amount_nano", "reference", "reason", "request_id", "at_ms", "limit_nano")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANO_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANO_FIELD_NUMBER: _ClassVar[int]
    kind: str
    amount_nano: int
    reference: str
    reason: str
    request_id: str
    at_ms: int
    limit_nano: int
    def __init__(self, kind: _Optional[str] = ..., amount_nano: _Optional[int] = ..., reference: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., at_ms: _Optional[int] = ..., limit_nano: _Optional[int] = ...) -> None: ...

class GetWalletRequest(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("owner", "page_size", "cursor")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    owner: str
    page_size: int
    cursor: str
    def __init__(self, owner: _Optional[str] = ..., page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_cursor")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_cursor: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class MakeEntryRequest(_message.Message):
    __slots__ = ("owner", "kind", "amount_nano", "reference", "reason", "request_id")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANO_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    owner: str
    kind: str
    amount_nano: int
    reference: str
    reason: str
    request_id: str
    def __init__(self, owner: _Optional[str] = ..., kind: _Optional[str] = ..., amount_nano: _Optional[int] = ..., reference: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class MakeEntryResponse(_message.Message):
    __slots__ = ("entry", "repeated")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    repeated: bool
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("from_ms", "until_ms", "owner", "team", "member", "key_id", "model", "group", "channel", "status")
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    from_ms: int
    until_ms: int
    owner: str
    team: str
    member: str
    key_id: str
    model: str
    group: str
    channel: str
    status: str
    def __init__(self, from_ms: _Optional[int] = ..., until_ms: _Optional[int] = ..., owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., key_id: _Optional[str] = ..., model: _Optional[str] = ..., group: _Optional[str] = ..., channel: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("request_id", "time_ms", "owner", "team", "member", "key_id", "key_prefix", "group", "model", "vendor_model", "channel", "operation", "stream", "status", "attempts", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_nano", "hold_nano", "usage_source", "first_byte_ms", "duration_ms", "revision")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VENDOR_MODEL_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_FIELD_NUMBER: _ClassVar[int]
    HOLD_NANO_FIELD_NUMBER: _ClassVar[int]
    USAGE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_MS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    time_ms: int
    owner: str
    team: str
    member: str
    key_id: str
    key_prefix: str
    group: str
    model: str
    vendor_model: str
    channel: str
    operation: str
    stream: bool
    status: int
    attempts: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano: int
    hold_nano: int
    usage_source: str
    first_byte_ms: int
    duration_ms: int
    revision: str
    def __init__(self, request_id: _Optional[str] = ..., time_ms: _Optional[int] = ..., owner: _Optional[str] = ..., team: _Optional[str] = ..., member: _Optional[str] = ..., key_id: _Optional[str] = ..., key_prefix: _Optional[str] = ..., group: _Optional[str] = ..., model: _Optional[str] = ..., vendor_model: _Optional[str] = ..., channel: _Optional[str] = ..., operation: _Optional[str] = ..., stream: _Optional[bool] = ..., status: _Optional[int] = ..., attempts: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cache_read_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., cost_nano: _Optional[int] = ..., hold_nano: _Optional[int] = ..., usage_source: _Optional[str] = ..., first_byte_ms: _Optional[int] = ..., duration_ms: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class ListRequestsRequest(_message.Message):
    __slots__ = ("filter", "page_size", "cursor")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    page_size: int
    cursor: str
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListRequestsResponse(_message.Message):
    __slots__ = ("requests", "next_cursor")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[Request]
    next_cursor: str
    def __init__(self, requests: _Optional[_Iterable[_Union[Request, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetRequestRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class FollowRequestsRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ...) -> None: ...

class ExportRequestsRequest(_message.Message):
    __slots__ = ("filter", "format")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    format: str
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., format: _Optional[str] = ...) -> None: ...

class GetTotalsRequest(_message.Message):
    __slots__ = ("filter", "by")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    by: str
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., by: _Optional[str] = ...) -> None: ...

class Total(_message.Message):
    __slots__ = ("of", "requests", "failed", "input_tokens", "cache_read_tokens", "output_tokens", "cost_nano")
    OF_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_FIELD_NUMBER: _ClassVar[int]
    of: str
    requests: int
    failed: int
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int
    cost_nano: int
    def __init__(self, of: _Optional[str] = ..., requests: _Optional[int] = ..., failed: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cache_read_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost_nano: _Optional[int] = ...) -> None: ...

class GetTotalsResponse(_message.Message):
    __slots__ = ("totals", "all")
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedCompositeFieldContainer[Total]
    all: Total
    def __init__(self, totals: _Optional[_Iterable[_Union[Total, _Mapping]]] = ..., all: _Optional[_Union[Total, _Mapping]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("at_ms", "who", "what", "owner", "of", "before", "after")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    who: str
    what: str
    owner: str
    of: str
    before: str
    after: str
    def __init__(self, at_ms: _Optional[int] = ..., who: _Optional[str] = ..., what: _Optional[str] = ..., owner: _Optional[str] = ..., of: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class ListChangesRequest(_message.Message):
    __slots__ = ("owner", "of", "page_size", "cursor")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    owner: str
    of: str
    page_size: int
    cursor: str
    def __init__(self, owner: _Optional[str] = ..., of: _Optional[str] = ..., page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListChangesResponse(_message.Message):
    __slots__ = ("changes", "next_cursor")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    next_cursor: str
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("token_id", "prefix", "name", "scopes", "person", "created_ms", "expires_ms")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    prefix: str
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    person: str
    created_ms: int
    expires_ms: int
    def __init__(self, token_id: _Optional[str] = ..., prefix: _Optional[str] = ..., name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., person: _Optional[str] = ..., created_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class NewToken(_message.Message):
    __slots__ = ("token", "plaintext")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PLAINTEXT_FIELD_NUMBER: _ClassVar[int]
    token: Token
    plaintext: str
    def __init__(self, token: _Optional[_Union[Token, _Mapping]] = ..., plaintext: _Optional[str] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTokensResponse(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    def __init__(self, tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("name", "scopes", "person", "expires_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    person: str
    expires_ms: int
    def __init__(self, name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., person: _Optional[str] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("token_id",)
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    def __init__(self, token_id: _Optional[str] = ...) -> None: ...

class GetOpenApiRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
