"""The files of deploy/compose as docker-compose understands them."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from tests.deploy.engine import ROOT
from tests.peers import require

FOLDER = ROOT / "deploy" / "compose"
USES = ("relay", "sidecar", "mx")
SERVICE = "smime-proxy"
# docker-compose prints YAML, and it is Debian's Python that brought a reader of it along.
TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


def resolved(use: str) -> dict[str, Any]:
    """Give what `docker-compose config` makes of a file; what its schema has not is refused."""
    line = (require("docker-compose"), "--file", str(FOLDER / f"{use}.yaml"), "config")
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    reader = ["/usr/bin/python3", "-c", TO_JSON]
    found = subprocess.run(reader, input=done.stdout, capture_output=True, check=True)
    project: dict[str, Any] = json.loads(found.stdout)
    return project


def service(use: str) -> dict[str, Any]:
    """Give the part that is about us."""
    found: dict[str, Any] = resolved(use)["services"][SERVICE]
    return found


def settings(use: str) -> dict[str, Any]:
    """Give the settings beside a file."""
    return tomllib.loads((FOLDER / use / "smime-proxy.toml").read_text(encoding="utf-8"))


def engine_options(one: dict[str, Any], secrets: Path) -> list[str]:
    """Write what a service asks for as options of an engine; `secrets` is a folder of ours."""
    places = [volume.split(":") for volume in one["volumes"]]
    folders = [
        f"--volume={secrets if target == '/run/secrets' else source}:{target}:{mode}"
        for source, target, mode in places
        if source.startswith("/")
    ]
    return [
        f"--user={one['user']}",
        *(["--read-only", "--read-only-tmpfs=false"] if one["read_only"] else []),
        *(f"--cap-drop={name}" for name in one["cap_drop"]),
        *(f"--security-opt={name.removesuffix(':true')}" for name in one["security_opt"]),
        *(f"--tmpfs={target}" for target in one.get("tmpfs", ())),
        *(f"--tmpfs={target}" for source, target, _ in places if not source.startswith("/")),
        *folders,
    ]
