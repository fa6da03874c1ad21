"""Pods on this machine: their settings as rendered, with volumes, ports and upstreams moved here.

    with pod(rendering, folder, {"UPSTREAMS__RELAY__URL": "smtp://127.0.0.1:2500"}) as proxy:
        ...  # proxy.ports["submission"]

What is moved is moved as a user would: mount points by their paths, the rest by variables.
"""

import contextlib
import io
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from smime_proxy.admin.cli import program
from smime_proxy.app import build
from tests.deploy.objects import SERVICE_LINKS, Rendering
from tests.e2e.proxy import Design, Listener, Proxy
from tests.ports import HOST

MOUNTS, STATE = "/run/smime-proxy", "/var/lib/smime-proxy"
_numbers = itertools.count(1)


def put(volume: Path, files: Mapping[str, bytes]) -> None:
    """Fill a volume of a Secret or ConfigMap as the kubelet does, at first and at every update.

    Files are links through `..data`, which is a link to the folder that holds them now and is
    exchanged in one step.
    """
    volume.mkdir(parents=True, exist_ok=True)
    data, before = volume / "..data", None
    if data.is_symlink():
        before = data.resolve()
    now = volume / f"..2027_01_01_00_00_{next(_numbers):02}"
    now.mkdir()
    for name, content in files.items():
        (now / name).write_bytes(content)
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(Path("..data", name))
    (volume / "..data_tmp").symlink_to(now.name)
    (volume / "..data_tmp").replace(data)
    for path in before.iterdir() if before else ():
        path.unlink()
    if before:
        before.rmdir()


def place(found: Rendering, folder: Path, variables: Mapping[str, str]) -> Proxy:
    """Prepare what a pod runs; `folder/mounts` stands for what is mounted below MOUNTS."""
    (name,) = found.settings(folder).listeners
    proxy = Proxy(folder, Design({}, {name: Listener("", "")}))
    moved = found.toml().replace(MOUNTS, f"{folder}/mounts").replace(STATE, f"{folder}/volume")
    proxy.config.write_text(moved, encoding="utf-8")
    (folder / "volume" / "state").mkdir(parents=True, mode=0o700)
    proxy.wrapper = ["env", *(f"{key}={value}" for key, value in environment(proxy, variables))]
    return proxy


def environment(proxy: Proxy, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the variables of a pod: those of the Service, and what is other here."""
    yield from SERVICE_LINKS.items()
    for name, port in proxy.ports.items():
        table = "STATUS" if name == "status" else f"LISTENERS__{name.upper()}"
        yield f"SMIME_PROXY_{table}__BIND", f"{HOST}:{port}"
    yield from ((f"SMIME_PROXY_{key}", value) for key, value in variables.items())


def run(proxy: Proxy, *words: str) -> tuple[int, str, str]:
    """Run a command as in the pod, in this very process; gives its code, output and errors."""
    moved = [word.replace(MOUNTS, f"{proxy.folder}/mounts") for word in words]
    given = dict(str(word).split("=", 1) for word in proxy.wrapper[1:])
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = program.run(["--config", str(proxy.config), *moved], given, build)
    return code, output.getvalue(), errors.getvalue()


@contextlib.contextmanager
def serving(proxy: Proxy) -> Iterator[Proxy]:
    """Serve until the block ends."""
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.end()
    assert "Traceback" not in proxy.log()
