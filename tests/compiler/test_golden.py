"""The compiler's output for whole catalogs, as files a person can read. `make golden` writes them anew."""

import json
import os
from pathlib import Path

import pytest
import yaml

from extproc.compiler.channel_filters import compile_secrets
from extproc.compiler.clusters import compile_clusters
from extproc.compiler.install import CLUSTERS, SECRETS, install, run_files
from tests.compiler.samples import BOOTSTRAP, EDGE, REPOSITORY, read_catalog

LUA = REPOSITORY / "extproc" / "compiler" / "channel.lua"
CASES = sorted((Path(__file__).parent / "cases").glob("*.in.yaml"))


def _compiled(case: Path) -> str:
    catalog = read_catalog(case)
    files = {CLUSTERS: compile_clusters(catalog)}
    files |= {f"{SECRETS}/{name}": text for name, text in compile_secrets(catalog).items()}
    return "".join(f"--- # {path}\n{_readable(text)}" for path, text in files.items())


def _readable(text: str) -> str:
    """As YAML, with the name of the script in place of its lines, which are reviewed where they are."""
    document = yaml.safe_load(text.replace(json.dumps(LUA.read_text(), ensure_ascii=False), '"channel.lua"'))
    document["version_info"] = document["version_info"].rpartition("-")[0]  # the rest is a hash of those lines too
    return yaml.safe_dump(document, sort_keys=False, width=4096, allow_unicode=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".in.yaml"))
def test_compiles_to_its_golden_file(case: Path) -> None:
    """A catalog compiles to exactly the files that were reviewed."""
    golden = case.with_name(case.name.replace(".in.", ".out."))
    if os.environ.get("TOLLGATE_REWRITE_GOLDEN"):
        golden.write_text(_compiled(case))
    assert _compiled(case) == golden.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".in.yaml"))
def test_envoy_accepts_it(case: Path, tmp_path: Path) -> None:
    """The real Envoy validates every case together with the bootstrap, and it is put in place."""
    files = run_files(BOOTSTRAP, EDGE, read_catalog(case), workers=2)
    install(tmp_path, files)
    assert {path: (tmp_path / path).read_text() for path in files} == files
