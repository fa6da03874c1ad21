#!/bin/bash
# Writes the locks anew from pyproject.toml: every version and hash, for Python 3.11 to 3.14 on Linux.
# The runtime lock is held to the versions of the development lock, so that what is tested is what runs.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/python" -m pip install -qq 'uv==0.13.9'

compile() {
    "$tools/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

"$tools/bin/python" - pyproject.toml > "$tools/build.in" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")
PYTHON
compile pyproject.toml --extra dev "$tools/build.in" -o requirements-dev.lock
compile pyproject.toml -c requirements-dev.lock -o requirements.lock
compile "$tools/build.in" -c requirements-dev.lock -o requirements-build.lock
