"""Podman with a storage of its own, and a Debian to build on that comes from the package archive.

The name in FROM is given to a Debian made by mmdebstrap, which installs what the official image
has: the required packages and apt, without documentation. So the Dockerfile is built as it is, and
no registry of images is asked.
"""

import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers import require, under_ci

ROOT = Path(__file__).resolve().parents[2]
MIRROR = "http://deb.debian.org/debian"
IMAGE = "localhost/smime-proxy:test"
BUILD_SECONDS = 600  # a slow mirror
ENOUGH = 4096  # files and processes; podman would ask for a million
# What the official image leaves out, too.
LEFT_OUT = ("doc", "man", "locale", "info")
# What the kernel says where containers may not be made, as inside another with less rights.
FORBIDDEN = re.compile("not permitted|denied", re.IGNORECASE)
# Settings of pip that say where packages come from and whom to believe.
INDEX_SETTINGS = {"index-url", "extra-index-url", "proxy", "trusted-host", "timeout", "retries"}


@dataclass(frozen=True, slots=True)
class Engine:
    """Podman on a folder: its storage, its containers, its temporary files."""

    folder: Path

    def command(self, *words: str | Path) -> list[str]:
        """Write a podman command."""
        storage = self.folder / "storage"
        options = ("--root", storage / "root", "--runroot", storage / "run")
        manners = "--storage-driver=overlay --cgroup-manager=cgroupfs --runtime=runc"
        fixed = [*manners.split(), "--events-backend=none", "--log-level=fatal"]
        return [str(one) for one in (require("podman"), *options, *fixed, *words)]

    def ask(
        self, *words: str | Path, seconds: int = 60, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run podman; it may fail."""
        return subprocess.run(
            self.command(*words),
            env={**os.environ, "TMPDIR": str(self.folder)},
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def do(self, *words: str | Path, seconds: int = 60) -> str:
        """Run podman, which must succeed; gives its output."""
        done = self.ask(*words, seconds=seconds)
        assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def build(self, *words: str) -> str:
        """Build the Dockerfile; gives the log."""
        options: tuple[str, ...] = (
            "--format=docker",
            "--network=host",
            "--pull=never",
            "--layers=false",
        )
        options = (*options, *ulimits(), *index_secrets(self.folder), *words)
        return self.do("build", *options, "--tag", IMAGE, ROOT, seconds=BUILD_SECONDS)

    @contextmanager
    def root_of(self, image: str) -> Iterator[Path]:
        """Give the files of an image."""
        try:
            yield Path(self.do("image", "mount", image))
        finally:
            self.do("image", "unmount", "--all")


def ulimits() -> list[str]:
    """Keep podman from asking for more files and processes than this machine gives."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(one)[1] for name, one in limits.items()}
    given = {name: min(ENOUGH, one) if one > 0 else ENOUGH for name, one in hard.items()}
    return [f"--ulimit={name}={number}:{number}" for name, number in given.items()]


def index_secrets(folder: Path) -> list[str]:
    """Hand pip in the build what this machine's pip knows of its index, as secrets do it."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found = dict(re.findall(r"^[\w:.-]*\.([\w-]+)='(.*)'$", listing.stdout, re.MULTILINE))
    # Folders of this machine are not there in the build.
    said = {
        key: value
        for key, value in found.items()
        if key in INDEX_SETTINGS and not re.search(r"(^|\s)(file:|/)", value)
    }
    secrets = []
    authority = found.get("cert") or os.environ.get("SSL_CERT_FILE", "")
    if authority:
        said["cert"] = "/run/secrets/pip-ca.pem"
        secrets.append(f"--secret=id=pip-ca.pem,src={authority}")
    settings = folder / "pip.conf"
    lines = "\n".join(f"{key} = {value}" for key, value in said.items())
    settings.write_text(f"[global]\n{lines}\n")
    return [*secrets, f"--secret=id=pip.conf,src={settings}"]


def dockerfile_argument(name: str) -> str:
    """Give the default of an ARG of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(rf"^ARG {name}=(\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def make_base(engine: Engine) -> None:
    """Put the Debian that FROM names into the storage."""
    archive = engine.folder / "debian.tar"
    options = [f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in LEFT_OUT]
    unsynced = ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    done = subprocess.run(
        [require("mmdebstrap"), "--variant=apt", *options, *unsynced, "bookworm", archive, MIRROR],
        env={**os.environ, "TMPDIR": str(engine.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    name = f"{dockerfile_argument('BASE')}:{dockerfile_argument('TAG')}"
    engine.do("import", "--quiet", archive, name)
    archive.unlink()
    tried = engine.ask("run", "--rm", "--network=host", *ulimits(), name, "true")
    if tried.returncode and FORBIDDEN.search(tried.stderr):
        pytest.skip(f"this machine starts no containers: {tried.stderr.strip()}")
    assert tried.returncode == 0, tried.stderr


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Run podman on a folder of this machine, and leave nothing of it behind."""
    if os.geteuid() != 0:
        reason = "containers are built by root here"
        if under_ci():
            pytest.fail(f"{reason} - with CI=true they must be", pytrace=False)
        pytest.skip(reason)
    engine = Engine(folder)
    try:
        yield engine
    finally:
        engine.ask("rm", "--all", "--force", "--time=0")
        engine.ask("image", "unmount", "--all")
        # The driver mounts its folder on itself.
        overlay = folder / "storage" / "root" / "overlay"
        subprocess.run(["umount", "--lazy", overlay], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
