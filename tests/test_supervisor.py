"""What becomes of a child that keeps dying: without a vital one all ends, another is only started later."""

import asyncio
import sys
from pathlib import Path

import pytest

from extproc import supervisor
from extproc.supervisor import Child, ChildFailed, until


def dying(folder: Path, vital: bool) -> Child:
    """A process that leaves a mark and ends."""
    program = "import os, sys; open(sys.argv[1], 'a').write('x'); print('dying'); sys.exit(3)"
    command = [sys.executable, "-I", "-S", "-c", program, str(folder / "marks")]
    return Child("short-lived", command, folder / "log", folder, vital=vital)


async def test_a_vital_child_that_keeps_dying(tmp_path: Path) -> None:
    """It is given up, with its last words."""
    child = dying(tmp_path, vital=True)
    await child.start()
    with pytest.raises(ChildFailed, match=r"short-lived keeps ending \(code 3\)[\s\S]*dying"):
        await child.keep_running()


async def test_another_that_keeps_dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started again and again, and nothing else ends."""
    monkeypatch.setattr(supervisor, "LATER_SECONDS", 0.0)
    child, marks = dying(tmp_path, vital=False), tmp_path / "marks"
    await child.start()
    running = asyncio.create_task(child.keep_running())

    async def marked() -> bool:
        assert not running.done()
        return marks.exists() and marks.stat().st_size > 2 * supervisor.QUICK_DEATHS

    await until(marked, "the restarts", [])
    child.let_end()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await child.stop()


async def never() -> bool:
    """Nothing is ever ready."""
    return False


async def test_the_start_does_not_wait_for_who_is_not_vital(tmp_path: Path) -> None:
    """One that ended at once fails the start only if it is vital."""

    for vital, words in ((True, "ended at once"), (False, "was not ready after 0 s")):
        child = dying(tmp_path, vital)
        await child.start()
        assert child.process is not None
        await child.process.wait()
        with pytest.raises(ChildFailed, match=words):
            await until(never, "something", [child], timeout_seconds=0.2)
