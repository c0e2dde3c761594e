"""Where answers wait that their script stops (`pause_at`), until somebody opens: `POST /_sim/resume`."""

from collections.abc import Callable


class Gate:
    """The next steps of the answers that wait, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[Callable[[], None], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, step: Callable[[], None]) -> None:
        """Call `step` when the gate opens."""
        self._waiting[step] = None

    def leave(self, step: Callable[[], None]) -> None:
        """Wait no more; nothing happens if it does not wait."""
        self._waiting.pop(step, None)

    def open(self) -> int:
        """Let all go on that wait now; how many. Who comes later waits again."""
        waiting, self._waiting = self._waiting, {}
        for step in waiting:
            step()
        return len(waiting)
