"""The programs nobody here wrote that tests talk to: found, installed, or missed aloud.

`python -m tests.peers install` is what `make test` runs first. A test asks with
`require("openssl")`; a missing peer skips it with its reason, and fails it under CI=true.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

INSTALL_SECONDS = 600  # one apt-get call; a JDK over a slow mirror takes minutes

INSTALL = ("install", "-y", "--no-install-recommends")
APT_OPTIONS = ("-o", "DPkg::Lock::Timeout=120")  # seconds; another apt may be at work


@dataclass(frozen=True, slots=True)
class Peer:
    """A program or library and the Debian packages that bring it."""

    needs: tuple[
        str, ...
    ]  # names on PATH, or absolute paths of files; the first is the peer itself
    packages: tuple[str, ...]


_LIBRARIES = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH') or 'x86_64-linux-gnu'}"

PEERS: Mapping[str, Peer] = {
    "openssl": Peer(("openssl",), ("openssl",)),
    "gpgsm": Peer(("gpgsm", "gpg-agent"), ("gpgsm", "gpg-agent")),
    "nss": Peer(("cmsutil", "certutil", "pk12util", "modutil"), ("libnss3-tools",)),
    "nss-roots": Peer((f"{_LIBRARIES}/libnssckbi.so",), ("libnss3",)),
    "bouncycastle": Peer(
        (
            "/usr/share/java/bcmail.jar",
            "/usr/share/java/bcpkix.jar",
            "/usr/share/java/bcutil.jar",
            "/usr/share/java/bcprov.jar",
            "/usr/share/java/javax.mail.jar",
            "javac",
        ),
        ("libbcmail-java", "libmail-java", "default-jdk-headless"),
    ),
    "softhsm": Peer(
        ("softhsm2-util", "/usr/lib/softhsm/libsofthsm2.so", "pkcs11-tool"),
        ("softhsm2", "opensc"),
    ),
    "postfix": Peer(("postfix", "smtp-sink", "smtp-source"), ("postfix",)),
    "opendkim": Peer(("opendkim",), ("opendkim",)),
    "dovecot": Peer(("dovecot", "/usr/lib/dovecot/lmtp"), ("dovecot-core", "dovecot-lmtpd")),
    "dovecot-sieve": Peer(
        ("sievec", "/usr/lib/dovecot/modules/lib90_sieve_plugin.so", "doveadm"), ("dovecot-sieve",)
    ),
    "swaks": Peer(("swaks",), ("swaks",)),
    "swaks-tls": Peer(
        ("swaks", f"{_LIBRARIES}/perl5/*/Net/SSLeay.pm"), ("swaks", "libnet-ssleay-perl")
    ),
    "slapd": Peer(("slapd", "slapadd", "/etc/ldap/schema/inetorgperson.schema"), ("slapd",)),
    "nsd": Peer(("nsd", "nsd-checkzone"), ("nsd",)),
    "ldns": Peer(("ldns-signzone", "ldns-keygen"), ("ldnsutils",)),
    "unbound": Peer(("unbound",), ("unbound",)),
    "systemd": Peer(("systemd-analyze", "systemctl", "/lib/systemd/systemd"), ("systemd",)),
    "faketime": Peer((f"{_LIBRARIES}/faketime/libfaketime.so.1",), ("libfaketime",)),
    "podman": Peer(("podman", "runc", "conmon"), ("podman", "runc", "conmon")),
    "docker-compose": Peer(
        ("docker-compose", "/usr/lib/python3/dist-packages/yaml"), ("docker-compose",)
    ),
    "mmdebstrap": Peer(
        ("mmdebstrap", "/usr/share/keyrings/debian-archive-keyring.gpg"),
        ("mmdebstrap", "debian-archive-keyring"),
    ),
}
# Debian keeps what only an administrator calls outside an ordinary user's PATH.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def locate(name: str) -> Path | None:
    """Return where a program or file is, or None; a `*` in a path is whatever fits."""
    if name.startswith("/"):
        return next(Path("/").glob(name.removeprefix("/")), None)
    found = shutil.which(name, path=SEARCH_PATH)
    return Path(found) if found else None


def missing(peer: Peer) -> list[str]:
    """Return what the peer needs and is not here."""
    return [name for name in peer.needs if locate(name) is None]


def under_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a missing peer is a failure."""
    return environ.get("CI", "").lower() in {"true", "1"}


def require(
    name: str,
    *,
    peers: Mapping[str, Peer] = PEERS,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """Return the path of a peer's program; without it skip the test, or fail it under CI=true.

    Usable in tests, fixtures and at module level; an unknown name is a KeyError.
    """
    peer = peers[name]
    absent = missing(peer)
    if absent:
        message = (
            f"peer {name} is missing ({', '.join(absent)}); "
            f"on Debian: apt-get install {' '.join(peer.packages)}"
        )
        if under_ci(environ):
            pytest.fail(f"{message} - with CI=true no peer may be missing", pytrace=False)
        pytest.skip(message, allow_module_level=True)
    found = locate(peer.needs[0])
    assert found is not None
    return found


def corpora(*parts: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return a folder of the mail collections, or skip the test: they are not ours to ship."""
    root = environ.get("SMIME_CORPORA", "")
    if not root:
        pytest.skip("SMIME_CORPORA names no folder of mail collections", allow_module_level=True)
    folder = Path(root, *parts)
    if not folder.exists():
        pytest.skip(f"the mail collections have no {folder}", allow_module_level=True)
    return folder


def packages_missing(peers: Iterable[Peer] = tuple(PEERS.values())) -> list[str]:
    """Return the Debian packages of the peers that are not here, in order."""
    return [package for peer in peers if missing(peer) for package in peer.packages]


def root_prefix() -> list[str] | None:
    """Return what to put before a command to run it as root, or None when that needs asking."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None


@contextmanager
def services_kept_off(prefix: list[str]) -> Iterator[None]:
    """Have package scripts start no service while this lasts (invoke-rc.d asks policy-rc.d)."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # a container's own; it stays
        yield
        return
    write = [
        *prefix,
        "sh",
        "-c",
        f"printf '#!/bin/sh\\nexit 101\\n' > {policy}; chmod 755 {policy}",
    ]
    subprocess.run(write, check=True)
    try:
        yield
    finally:
        subprocess.run([*prefix, "rm", "-f", str(policy)], check=True)


def install(packages: list[str], prefix: list[str]) -> bool:
    """Install Debian packages, asking nothing and starting nothing; tell whether it worked."""
    selection = b"postfix postfix/main_mailer_type select No configuration\n"
    subprocess.run([*prefix, "debconf-set-selections"], input=selection, check=False)
    with services_kept_off(prefix):
        # Twice: a mirror in the middle of its update answers 404 once.
        return any(
            apt_get(prefix, "update") and apt_get(prefix, *INSTALL, *packages)
            for _attempt in range(2)
        )


def apt_get(prefix: list[str], *arguments: str) -> bool:
    """Run apt-get silently; tell whether it worked, and why not on stderr."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *APT_OPTIONS, *arguments]
    try:
        done = subprocess.run(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"apt-get {arguments[0]} took over {INSTALL_SECONDS} s", file=sys.stderr)
        return False
    if done.returncode:
        print(done.stderr.decode(errors="replace"), file=sys.stderr)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """List the peers that are missing; with `install`, install them where that is allowed."""
    packages = packages_missing()
    if not packages:
        return 0
    prefix = root_prefix()
    if arguments == ["install"] and prefix is not None and shutil.which("apt-get"):
        print(f"installing peers for the tests: {' '.join(packages)}", flush=True)
        if not install(packages, prefix):
            print("apt-get failed", file=sys.stderr)
    for name, peer in PEERS.items():
        if missing(peer):
            print(f"peer missing: {name} ({', '.join(missing(peer))})", file=sys.stderr)
    return 0  # the tests that need them say so themselves: a skip, or a failure under CI=true


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
