#!/bin/sh
# Generate the Python modules and type stubs of proto/*.proto.
# usage: proto/generate.sh [FOLDER]    writes FOLDER/extproc/wire/pb/ (FOLDER: this repository)
# -I gives each file here the path of its module, so that generated modules import one another by it.
set -eu
cd "$(dirname "$0")/.."
out="${1:-.}"
exec "${PYTHON:-.venv/bin/python}" -m grpc_tools.protoc -Iextproc/wire/pb=proto \
  --python_out="$out" --pyi_out="$out" proto/*.proto
