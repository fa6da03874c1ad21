"""A service as containers run it: nothing but memory can be written, nobody knows its user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.e2e.proxy import PROGRAM

USER = "54321"  # no entry in passwd, as OpenShift picks them
NO_HOME = ("env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME")
AS_NOBODY_KNOWN = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
# What cannot be made read-only is told by the test that looks.
_SCRIPT = """
mount --make-rprivate / || exit 1
while read -r _ _ _ _ point _; do
    case $point in /proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$point" 2>/dev/null ;; esac
done </proc/self/mountinfo
mount -t tmpfs -o size=64m,mode=0777 tmpfs "$1" || exit 1
shift
exec "$@"
"""
# Kubernetes makes them of Services named smime-proxy and smime-proxy-status.
SERVICES = {
    "SMIME_PROXY_SERVICE_HOST": "10.96.0.7",
    "SMIME_PROXY_SERVICE_PORT": "2525",
    "SMIME_PROXY_SERVICE_PORT_SUBMISSION": "2525",
    "SMIME_PROXY_PORT": "tcp://10.96.0.7:2525",
    "SMIME_PROXY_PORT_2525_TCP": "tcp://10.96.0.7:2525",
    "SMIME_PROXY_PORT_2525_TCP_ADDR": "10.96.0.7",
    "SMIME_PROXY_STATUS_SERVICE_HOST": "10.96.0.8",
    "SMIME_PROXY_STATUS_PORT": "tcp://10.96.0.8:8026",
    "SMIME_PROXY_STATUS_PORT_8026_TCP_PROTO": "tcp",
}


@cache
def missing() -> str:
    """Say what keeps services from being contained here, "" when nothing does."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "setpriv", "mount"))):
        return "only root makes containers, with the tools of util-linux"
    point = "/mnt" if Path("/mnt").is_dir() else "/srv"
    line = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", point, *AS_NOBODY_KNOWN]
    tried = subprocess.run(
        [*line, PROGRAM, "--version"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def wrapper(state: Path, variables: Mapping[str, str]) -> Sequence[str | Path]:
    """Give what runs a service contained; `state` is empty and in memory there."""
    alone = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", state)
    return (*alone, *AS_NOBODY_KNOWN, *with_variables(variables))


def inside(pid: int, variables: Mapping[str, str]) -> Sequence[str | Path]:
    """Give what runs a command beside the service that is this process."""
    beside = ("nsenter", "--mount", f"--target={pid}", f"--wd={sys.prefix}")
    return (*beside, *AS_NOBODY_KNOWN, *with_variables(variables))


def with_variables(variables: Mapping[str, str]) -> Sequence[str]:
    """Give what runs a command with further variables and without a home."""
    return (*NO_HOME, *(f"{name}={value}" for name, value in variables.items()))
