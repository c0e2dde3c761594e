"""A Redis Cluster: each call goes to the server that has its slot, and follows the slot when it moves.

    MOVED     the slot is another server's: ask there, and learn who has what
    ASK       the key has moved, its slot not yet: ask there, this once
    TRYAGAIN  keys of one call are on both servers: a little later they will not be; the same for a script that
              touches a key which has gone. Every script looks at all it will write before it writes.
    no answer, or the cluster is down: learn who has what, and ask once more

Each server has a lane of its own, so one that is slow or dead delays nobody else's calls. redis-py's own pipeline of a
cluster would fail a whole batch for one dead server, and asks again for what has moved one call after the other.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as NoAnswer

from extproc.store.address import Node
from extproc.store.lane import ANSWER_SECONDS, FOREIGN, Lane, Overdue, key_of
from extproc.store.pipe import Command

PAUSE_SECONDS = 0.01
"""How long to wait before asking for the third time; for the second not at all, for the fourth twice as long …"""

LEARN_SECONDS = 0.5
"""How long one server may take to tell who has what, before another is asked."""

LEARN_PAUSE_SECONDS = 0.1
"""How long what was learnt is believed in any case."""

SLOTS: Command = ("CLUSTER SLOTS",)
LOST = (ConnectionLost, NoAnswer, ClusterDownError, OSError)


class Cluster:
    """The lanes to the servers of one cluster, of which `named` are known at first. Who has which slot is learnt."""

    def __init__(self, named: tuple[Node, ...], open_lane: Callable[[Node], Lane]) -> None:
        self._named = named
        self._open_lane = open_lane
        self._lanes: dict[Node, Lane] = {}
        self._primaries: dict[int, Node] = {}
        self._known: set[Node] = set(named)
        self._learning: asyncio.Task[None] | None = None
        self._learnt_at = 0.0
        self._failure: Exception = ClusterDownError("no server of the cluster has the slot")

    async def ask(self, command: Command) -> Any:
        """Its answer, or the error when asking again does not help. It goes on asking for `ANSWER_SECONDS`."""
        slot = key_slot(key_of(command))
        due = asyncio.get_running_loop().time() + ANSWER_SECONDS
        node = self._primaries.get(slot)
        try:
            answer = None if node is None else await self._lane(node).ask(command)
            if node is not None and not isinstance(answer, FOREIGN):
                return answer
            async with asyncio.timeout_at(due):
                return await self._ask_again(command, slot, node, answer)
        except TimeoutError:
            self._learn()  # the server may hang, and another have taken its place
            return Overdue()
        except asyncio.CancelledError:
            self._learn()
            raise

    async def primaries(self) -> list[Lane]:
        """The server of every slot, each once; none when nobody tells."""
        await asyncio.shield(self._learn())
        return [self._lane(node) for node in sorted(set(self._primaries.values()))]

    async def aclose(self) -> None:
        """Let what is under way finish, and disconnect."""
        if self._learning is not None:
            self._learning.cancel()
        await asyncio.gather(*(lane.aclose() for lane in self._lanes.values()))

    async def _ask_again(self, command: Command, slot: int, node: Node | None, answer: Any) -> Any:
        """After this answer of this server; of none as long as nobody knows who has the slot."""
        pause, lost = 0.0, False
        while True:
            asking = False
            if isinstance(answer, AskError) and node is not None:  # of which MOVED is one
                node, asking = self._redirected(answer, node), not isinstance(answer, MovedError)
            elif _is_split(answer):
                node = self._primaries.get(slot)
            elif isinstance(answer, LOST) and not lost:
                node, lost = None, True
            elif node is not None:
                return answer
            await asyncio.sleep(pause)
            pause += PAUSE_SECONDS
            if node is None:
                await asyncio.shield(self._learn())
                node = self._primaries.get(slot)
            if node is None:
                return self._failure
            answer = await self._lane(node).ask(command, asking)

    def _redirected(self, told: AskError, by: Node) -> Node:
        node = (told.host or by[0], told.port)
        if isinstance(told, MovedError):
            self._primaries[told.slot_id] = node
            self._learn()
        return node

    def _lane(self, node: Node) -> Lane:
        if node not in self._lanes:
            self._lanes[node] = self._open_lane(node)
        return self._lanes[node]

    def _learn(self) -> asyncio.Task[None]:
        """Ask who has what; those who want to know at the same time ask together."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn_from_any())
        return self._learning

    async def _learn_from_any(self) -> None:
        await asyncio.sleep(self._learnt_at + LEARN_PAUSE_SECONDS - asyncio.get_running_loop().time())
        for node in random.sample(sorted(self._known), len(self._known)):
            try:
                async with asyncio.timeout(LEARN_SECONDS):
                    answer = await self._lane(node).ask(SLOTS)
            except TimeoutError:
                answer = NoAnswer(f"{node[0]}:{node[1]} does not tell who has which slot")
            if not isinstance(answer, FOREIGN) and answer:
                self._take(answer, node)
                break
            self._failure = answer if isinstance(answer, FOREIGN) else self._failure
        self._learnt_at = asyncio.get_running_loop().time()

    def _take(self, ranges: list[Any], told_by: Node) -> None:
        """`CLUSTER SLOTS`: first and last slot, then host, port and more of its primary and its replicas."""
        servers = [[(host or told_by[0], int(port)) for host, port, *_ in each] for _, _, *each in ranges]
        self._primaries = {
            slot: nodes[0]
            for (first, last, *_), nodes in zip(ranges, servers, strict=True)
            for slot in range(int(first), int(last) + 1)
        }
        self._known = {*self._named, *(node for nodes in servers for node in nodes)}


def _is_split(answer: Any) -> bool:
    return isinstance(answer, TryAgainError) or (isinstance(answer, ResponseError) and "non local key" in str(answer))
