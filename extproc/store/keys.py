"""Every name in Redis, once.

What belongs to an owner carries the hash tag of the owner's bucket, `tg:{b17}:…`, and so lives in one slot of a Redis
Cluster, where one script can read and write all of it. Outside stand only look-ups that can be rebuilt, the lease, and
what is learned.
"""

from extproc.core.ledger import Account, AccountKind

OWNERS = "tg:owners"
"""Set of every owner that was ever given a key."""

SWEEPER_LEASE = "tg:lease:sweeper"


def by_digest(digest: str) -> str:
    """Hash `owner`, `key_id`: whose key has this HMAC."""
    return f"tg:digest:{digest}"


def owner_of(key_id: str) -> str:
    """String: the owner of a key."""
    return f"tg:owner:{key_id}"


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
    """Hash `status`, `revision`, `record` (JSON)."""
    return f"tg:{{b{bucket}}}:key:{key_id}"


def owner(bucket: int, name: str) -> str:
    """Hash `revision`, `record` (JSON): what is said of an owner, if anything is."""
    return f"tg:{{b{bucket}}}:owner:{name}"


def keys_of(bucket: int, owner: str) -> str:
    """Set: the ids of an owner's keys."""
    return f"tg:{{b{bucket}}}:keys:{owner}"


def task(bucket: int, owner: str, task_id: str) -> str:
    """String: a task of an owner (JSON), by the vendor's id, which has no colon at its end of the name."""
    return f"tg:{{b{bucket}}}:task:{owner}:{task_id}"


def entries(bucket: int, owner: str) -> str:
    """Stream: what went into an owner's wallet, and what was taken out by hand."""
    return f"tg:{{b{bucket}}}:entries:{owner}"


def references(bucket: int, owner: str) -> str:
    """Hash: the limit after each entry of an owner's wallet, by its reference."""
    return f"tg:{{b{bucket}}}:references:{owner}"
