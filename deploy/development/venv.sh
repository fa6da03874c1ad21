#!/bin/bash
# Makes the virtual environment from a lock with hashes and installs the project into it, editable.
# usage: venv.sh runtime|dev DIRECTORY
set -euo pipefail
kind=$1 venv=$2
cd "$(dirname "$0")/../.."

case $kind in
    runtime) locks=(-r requirements.lock -r requirements-build.lock) stamps=(.runtime-installed) ;;
    dev) locks=(-r requirements-dev.lock) stamps=(.runtime-installed .dev-installed) ;;
    *) echo "usage: $0 runtime|dev DIRECTORY" >&2; exit 2 ;;
esac

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian and Ubuntu ship Python without ensurepip; venv then fails half way.
install_ensurepip() {
    if ! command -v apt-get >/dev/null; then
        echo "$1 has no ensurepip; install the package that brings it (python3-venv)" >&2
        return 1
    fi
    local package
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "installing $package"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq || true
    as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null \
        || as_root apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null
}

can_make() {
    "$1" -c 'import ensurepip' 2>/dev/null
}

# The distribution's own Python first: it is patched with the system, and built with profile-guided
# and link-time optimisation, which saves a quarter of the time of a plain build.
find_python() {
    local candidate found=""
    for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        fits "$candidate" || continue
        found=${found:-$candidate}
        if can_make "$candidate" || { [ "$(id -u)" -eq 0 ] && install_ensurepip "$candidate" >&2; }; then
            command -v "$candidate"
            return
        fi
    done
    if [ -z "$found" ]; then
        echo "smime-proxy needs Python 3.11 to 3.14; none found (set PYTHON to name one)" >&2
        return 1
    fi
    install_ensurepip "$found" >&2
    command -v "$found"
}

# Two makes in one checkout wait for each other; the later one finds the work done.
if command -v flock >/dev/null; then
    exec 9<.
    flock 9
fi

if [ "$(cat "$venv/.checkout" 2>/dev/null)" != "$PWD" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    echo "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

echo "installing the $kind lock"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input -qq install)
"${pip[@]}" --require-hashes "${locks[@]}"
"${pip[@]}" --no-deps --no-build-isolation --editable .
printf '%s\n' "$PWD" > "$venv/.checkout"
for stamp in "${stamps[@]}"; do
    touch "$venv/$stamp"
done
