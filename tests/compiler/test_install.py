"""The run folder: what Envoy would refuse never gets there, and nothing changes for it (on the real binary)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.compiler.bootstrap import BOOTSTRAP, ROUTES
from extproc.compiler.edge import Jwt
from extproc.compiler.install import (
    CLUSTERS,
    DESCRIPTOR_SOURCE,
    SIDECAR,
    install,
    run_files,
    write_clusters,
    write_run_folder,
)
from extproc.core.catalog import Channel
from extproc.errors import ConfigError
from extproc.names import ADMIN_DESCRIPTOR
from tests.compiler import samples

A = samples.channel_of("a", "http://127.0.0.1:9000", "env:KEY_OF_A")
B = samples.channel_of("b", "http://127.0.0.1:9001")
KEYS = '{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}]}'

Snapshot = dict[str, tuple[str, int]]


def _files(*channels: Channel) -> dict[str, str]:
    return run_files(samples.BOOTSTRAP, samples.EDGE, samples.catalog_of(*channels), workers=2)


def _snapshot(folder: Path) -> Snapshot:
    """Every file's text and inode: a rename shows even when the text is the same."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_text(), path.stat().st_ino) for path in found}


def test_writes_the_whole_folder_and_tells_the_version(tmp_path: Path) -> None:
    """A fresh folder gets every file, the version is that of the clusters, and no candidate is left behind."""
    installed = write_run_folder(tmp_path, samples.catalog_of(A, B), workers=2, edge=samples.EDGE)
    assert set(_snapshot(tmp_path)) == {BOOTSTRAP, ROUTES, CLUSTERS, SIDECAR, f"secrets/{A.cluster}.json"}
    assert f'"version_info": "{installed.version}"' in (tmp_path / CLUSTERS).read_text()
    assert installed.clusters == {A.cluster, B.cluster}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_envoy_is_told_of_the_admin_api_by_a_file_beside_its_own(tmp_path: Path) -> None:
    """The descriptors stand in the folder, where Envoy finds them when it validates and when it starts."""
    edge = replace(samples.EDGE, admin_port=8090, jwt=Jwt("https://id.test", "tollgate", KEYS))
    write_run_folder(tmp_path, samples.catalog_of(A), workers=2, edge=edge)
    assert (tmp_path / ADMIN_DESCRIPTOR).read_bytes() == DESCRIPTOR_SOURCE.read_bytes()
    write_clusters(tmp_path, samples.catalog_of(A, B))


def test_keys_that_envoy_cannot_read_are_noticed_before_it_starts(tmp_path: Path) -> None:
    """What is no JWKS to Envoy is a ConfigError, and the folder stays empty."""
    edge = replace(samples.EDGE, admin_port=8090, jwt=Jwt("https://id.test", "tollgate", '{"keys": [{"kty": "no"}]}'))
    with pytest.raises(ConfigError, match="invalid local jwks"):
        write_run_folder(tmp_path, samples.catalog_of(A), workers=2, edge=edge)
    assert list(tmp_path.iterdir()) == []


FAULTS = {
    "not JSON": (CLUSTERS, "version_info", 'version_info": [', "clusters.json cannot be read"),
    "not YAML": (BOOTSTRAP, "static_resources:", "static_resources: [", "envoy.yaml cannot be read"),
    "a port that is none": (CLUSTERS, '"port_value": 9001', '"port_value": 90010', "less than or equal to 65535"),
    "a name in a static cluster": (CLUSTERS, '"127.0.0.1"', '"not.an.address"', "malformed IP address"),
    "a field Envoy does not know": (CLUSTERS, "connect_timeout", "connect_tomeout", "no such field: 'connect_tomeout'"),
    "a channel twice": (CLUSTERS, f'"name": "{B.cluster}"', f'"name": "{A.cluster}"', "duplicate cluster 'channel_a@"),
    "Lua that does not load": (CLUSTERS, "local meta", "locl meta", "script load error"),
    "a secret's file that is missing": (
        CLUSTERS,
        "secrets/channel_a",
        "secrets/channel_z",
        "secrets/channel_z.*' does not exist",
    ),
    "a filter Envoy does not have": (
        BOOTSTRAP,
        "ext_proc.v3.ExternalProcessor",
        "ext_proc.v9.Nothing",
        "could not find @type.*Nothing",
    ),
}


@pytest.mark.parametrize(("path", "right", "wrong", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_file_changes_nothing(tmp_path: Path, path: str, right: str, wrong: str, message: str) -> None:
    """Envoy would apply the good part of a faulty cluster file; here not even the other files are replaced."""
    install(tmp_path, _files(A))
    before = _snapshot(tmp_path)
    files = _files(A, B)
    assert right in files[path]
    files[path] = files[path].replace(right, wrong)
    with pytest.raises(ConfigError, match=message):
        install(tmp_path, files)
    assert _snapshot(tmp_path) == before
    assert list(tmp_path.glob(".*")) == []


def test_a_changed_catalog_replaces_what_changed(tmp_path: Path) -> None:
    """Only the changed file is renamed into place: Envoy loads nothing a second time."""
    install(tmp_path, _files(A))
    before = _snapshot(tmp_path)
    install(tmp_path, _files(A, B))
    after = _snapshot(tmp_path)
    assert {path for path in after if after[path] != before.get(path)} == {CLUSTERS}
    assert B.cluster in after[CLUSTERS][0]


def test_new_clusters_come_beside_the_old(tmp_path: Path) -> None:
    """The old stay word for word, with their secrets, until they are to be dropped; the bootstrap is left alone."""
    write_run_folder(tmp_path, samples.catalog_of(A), workers=2, edge=samples.EDGE)
    before = _snapshot(tmp_path)
    moved = samples.channel_of("a", "http://127.0.0.1:9002", "env:ANOTHER_KEY")

    installed = write_clusters(tmp_path, samples.catalog_of(moved, B, revision="r2"))

    assert installed.clusters == {A.cluster, moved.cluster, B.cluster}
    assert installed.version.startswith("r2-")
    between = _snapshot(tmp_path)
    changed = {path for path in between if between[path] != before.get(path)}
    assert changed == {CLUSTERS, f"secrets/{moved.cluster}.json"}
    old, new = (json.loads(files[CLUSTERS][0])["resources"] for files in (before, between))
    assert old == [cluster for cluster in new if cluster["name"] == A.cluster]

    installed = write_clusters(tmp_path, samples.catalog_of(moved, B, revision="r2"), drop=[A.cluster, B.cluster])

    assert installed.clusters == {moved.cluster, B.cluster}
    assert set(between) - set(_snapshot(tmp_path)) == {f"secrets/{A.cluster}.json"}


def test_a_fault_in_new_clusters_changes_nothing(tmp_path: Path) -> None:
    """Neither a file nor a secret, though Envoy would have taken up the part of it that is good."""
    write_run_folder(tmp_path, samples.catalog_of(A), workers=2, edge=samples.EDGE)
    before = _snapshot(tmp_path)
    scoped = samples.channel_of("c", "http://[fe80::1%25eth0]:80", "env:KEY_OF_C")
    with pytest.raises(ConfigError, match="malformed IP address: fe80::1"):
        write_clusters(tmp_path, samples.catalog_of(B, scoped))
    assert _snapshot(tmp_path) == before


def test_a_sidecar_that_starts_again_leaves_the_clusters(tmp_path: Path) -> None:
    """Beside an Envoy that somebody else runs, and that may have requests on them."""
    write_run_folder(tmp_path, samples.catalog_of(A), workers=2, edge=samples.EDGE)
    installed = write_run_folder(tmp_path, samples.catalog_of(B), workers=2, edge=samples.EDGE)
    assert installed.clusters == {A.cluster, B.cluster}
    assert f"secrets/{A.cluster}.json" in _snapshot(tmp_path)
