#!/bin/sh
# Generate the Python modules and type stubs of proto/, and what Envoy's transcoder reads of the admin API.
# usage: proto/generate.sh [FOLDER]    writes FOLDER/extproc/{wire,admin}/pb/ (FOLDER: this repository)
# -I gives each file here the path of its module, so that generated modules import one another by it.
set -eu
cd "$(dirname "$0")/.."
out="${1:-.}"
python="${PYTHON:-.venv/bin/python}"
mkdir -p "$out/extproc/admin/pb"
"$python" -m grpc_tools.protoc -Iextproc/wire/pb=proto --python_out="$out" --pyi_out="$out" proto/*.proto
googleapis=$("$python" -c 'import google.api; print(list(google.api.__path__)[0] + "/../..")')
exec "$python" -m grpc_tools.protoc -Iextproc/admin/pb=proto/tollgate/admin/v1 -I"$googleapis" \
  --python_out="$out" --pyi_out="$out" --include_imports --descriptor_set_out="$out/extproc/admin/pb/admin.pb" \
  --include_source_info proto/tollgate/admin/v1/admin.proto
