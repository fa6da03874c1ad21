"""The commands of docs/container.md, run as somebody would who has Docker."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.deploy.engine import IMAGE, ROOT, Engine, ulimits
from tests.ports import free_ports

NAME = "smime-proxy"  # of image and container on the page


def commands() -> str:
    """Give the page's commands, on ports of this test."""
    text = (ROOT / "docs" / "container.md").read_text(encoding="utf-8")
    block: str
    (block,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    submission, status = free_ports(2)
    return block.replace("2525", str(submission)).replace("8026", str(status))


def make_docker(engine: Engine, folder: Path) -> None:
    """Put a `docker` into a folder that is the engine, with what this machine wants of it."""
    engine.do("tag", IMAGE, f"localhost/{NAME}:latest")
    podman = shlex.join(engine.command())
    extra = shlex.join(["--network=host", "--pull=never", "--log-driver=k8s-file", *ulimits()])
    program = folder / "docker"
    program.write_text(
        "#!/bin/sh\nverb=$1\nshift\n"
        f'[ "$verb" = run ] && set -- {extra} "$@"\n'
        f'exec {podman} "$verb" "$@"\n'
    )
    program.chmod(0o755)


def follow(engine: Engine, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type the page's commands in a folder."""
    programs = folder / "bin"
    programs.mkdir()
    make_docker(engine, programs)
    try:
        return subprocess.run(
            ["sh", "-eu", "-c", commands()],
            cwd=folder,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        engine.ask("rm", "--force", "--time=0", NAME)
