"""Every name in Redis, once.

What belongs to an owner carries the hash tag of the owner's bucket, `tg:{b17}:…`, and so lives in one slot of a Redis
Cluster, where one script can read and write all of it. Outside stand only look-ups that can be rebuilt, the lease, and
what is learned. Tokens of the admin service have a slot of their own.
"""

from extproc.core.ledger import Account, AccountKind

OWNERS = "tg:owners"
"""Set of every owner that was ever given a key or a team, or of whom something was said."""

TOKENS = "tg:{tokens}:tokens"
"""Set: the ids of tokens."""

CHANGES_OF_TOKENS = "tg:{tokens}:changes"
"""Stream: who changed which token."""

SWEEPER_LEASE = "tg:lease:sweeper"
RETENTION_LEASE = "tg:lease:retention"


def by_digest(digest: str) -> str:
    """Hash `owner`, `key_id`: whose key has this HMAC."""
    return f"tg:digest:{digest}"


def owner_of(key_id: str) -> str:
    """String: the owner of a key."""
    return f"tg:owner:{key_id}"


def teams_of(person: str) -> str:
    """Set: the teams that somebody is in or was in, each as `<owner>/<team>`."""
    return f"tg:person:{person}"


def token(token_id: str) -> str:
    """Hash like a key's."""
    return f"tg:{{tokens}}:token:{token_id}"


def token_by_digest(digest: str) -> str:
    """String: the id of the token that has this HMAC."""
    return f"tg:{{tokens}}:digest:{digest}"


def learned(day: int) -> str:
    """Hash: sums of what was learned on a day, counted from 1970-01-01 UTC."""
    return f"tg:learned:{day}"


def hold_prefix(bucket: int) -> str:
    """What the names of all holds of a bucket begin with."""
    return f"tg:{{b{bucket}}}:hold:"


def hold(bucket: int, hold_id: str) -> str:
    """Hash: a hold, or what is remembered of it once it has ended."""
    return hold_prefix(bucket) + hold_id


def due(bucket: int) -> str:
    """Sorted set: the ids of live holds by deadline."""
    return f"tg:{{b{bucket}}}:due"


def usage(bucket: int) -> str:
    """Stream: the usage log, an outbox."""
    return f"tg:{{b{bucket}}}:usage"


def account(bucket: int, of: Account) -> str:
    """Hash `limit`, `held`, `used`, in nano-USD."""
    return f"tg:{{b{bucket}}}:account:{of.kind}:{of.name}"


def account_of(stored: str) -> Account:
    """The account with this name in Redis."""
    kind, _, name = stored.partition(":account:")[2].partition(":")
    return Account(AccountKind(kind), name)


def key(bucket: int, key_id: str) -> str:
    """Hash `status`, `revision`, `record` (JSON), `digests`, and what `hold.lua` counts of it."""
    return f"tg:{{b{bucket}}}:key:{key_id}"


def owner(bucket: int, name: str) -> str:
    """Hash `revision`, `record` (JSON): what is said of an owner, if anything is."""
    return f"tg:{{b{bucket}}}:owner:{name}"


def owners(bucket: int) -> str:
    """Set: the owners of a bucket of whom something is said."""
    return f"tg:{{b{bucket}}}:owners"


def keys_of(bucket: int, owner: str) -> str:
    """Set: the ids of an owner's keys."""
    return f"tg:{{b{bucket}}}:keys:{owner}"


def team(bucket: int, owner: str, name: str) -> str:
    """Hash `status`, `revision`, `record` (JSON): a team of an owner, whose own name has no slash."""
    return f"tg:{{b{bucket}}}:team:{owner}/{name}"


def teams(bucket: int, owner: str) -> str:
    """Set: the names of an owner's teams, the deleted too."""
    return f"tg:{{b{bucket}}}:teams:{owner}"


def carried(bucket: int) -> str:
    """Hash: what entries that were removed from the usage log had charged, by account."""
    return f"tg:{{b{bucket}}}:carried"


def changes(bucket: int) -> str:
    """Stream: who changed what of the owners of a bucket."""
    return f"tg:{{b{bucket}}}:changes"


def task(bucket: int, owner: str, task_id: str) -> str:
    """String: a task of an owner (JSON), by the vendor's id, which has no colon at its end of the name."""
    return f"tg:{{b{bucket}}}:task:{owner}:{task_id}"


def entries(bucket: int, owner: str) -> str:
    """Stream: what went into an owner's wallet, and what was taken out by hand."""
    return f"tg:{{b{bucket}}}:entries:{owner}"


def references(bucket: int, owner: str) -> str:
    """Hash: the limit after each entry of an owner's wallet, by its reference."""
    return f"tg:{{b{bucket}}}:references:{owner}"
