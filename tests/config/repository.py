"""Folders of YAML in git repositories, for tests of what git knows of them."""

import os
import shutil
import subprocess
from pathlib import Path

from extproc.config.load import load_as_written

BASE = Path(__file__).parent / "base"
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> None:
    """Run git, whatever the settings of whoever runs the test."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, check=True, env=PLAIN)


def commit(config: Path, old: str = "", new: str = "", file: str = "models.yaml") -> str:
    """Change what a file says and commit it; the revision."""
    path = config / file
    path.write_text(path.read_text().replace(old, new))
    git(config, "add", "--all", ".")
    git(config, "commit", "--quiet", "--allow-empty", "--message", "prices")
    return load_as_written(config).revision


def new_repository(root: Path) -> Path:
    """A new repository at `root`; the folder in it that has the base files, committed."""
    config = Path(shutil.copytree(BASE, root / "deep" / "config"))
    git(root, "init", "--quiet")
    commit(config)
    return config
