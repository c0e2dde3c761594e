"""The wheel, away from the checkout: what a Dockerfile or `pip install` gets."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import HTTP, eventually, gateway

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "envoy", "extproc")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of packages with nothing of this project but its wheel, built without the rest of the repository."""
    source, packages = tmp_path / "source", tmp_path / "packages"
    source.mkdir()
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", packages, source], check=True)
    return packages


def test_the_wheel_has_all_that_it_takes(installed: Path, tmp_path: Path) -> None:
    """`tollgate up` from the wheel, in a folder that knows nothing of the checkout, answers a call."""
    environment = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    said = subprocess.run(
        [sys.executable, "-c", "import extproc; print(extproc.__file__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(said.stdout).is_relative_to(installed)
    with gateway(REPOSITORY / "config", tmp_path / "data", workers=1, environment=environment, admin=True) as running:
        headers = {"authorization": f"Bearer {running.customer().key}"}
        question = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
        assert HTTP.post(f"{running.url}/v1/chat/completions", headers=headers, json=question).status_code == 200
        document = f"{running.settings.admin_url}/admin/v1/openapi.json"
        eventually(lambda: HTTP.get(document).status_code == 200, "the admin service")
