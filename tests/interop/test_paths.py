"""Certificate paths as we and `openssl verify` judge them: where one differs, the table says why.

RFC 5280 6.1, RFC 8550 4.4; rows E79, E80, E82.
"""

import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.profile import Profile
from tests.interop.paths import CHAINS, POLICY, Chain
from tests.peers import locate, require
from tests.pki import NOW, Identity

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.says)
def test_paths_are_judged_as_by_openssl_or_it_is_said_why_not(chain: Chain, tmp_path: Path) -> None:
    differs = bool(chain.theirs) and version() < chain.until
    identity = chain.leaf()
    assert ours(identity, chain) is (chain.good is not bool(chain.ours)), chain.ours
    accepted, told = theirs(identity, chain, tmp_path)
    assert accepted is (chain.good is not differs), told


@cache
def version() -> tuple[int, int]:
    require("openssl")
    done = subprocess.run(
        [str(locate("openssl")), "version"], capture_output=True, check=True, text=True
    )
    major, minor, *_ = done.stdout.split()[1].split(".")
    return int(major), int(minor)


def ours(identity: Identity, chain: Chain) -> bool:
    *pool, anchor = identity.chain
    profile = Profile(policies=frozenset({POLICY}), explicit_policy=True)
    found = validate(
        identity.certificate,
        pool,
        [Anchor(anchor)],
        NOW,
        purpose=Purpose.SIGN,
        profile=profile if chain.explicit else Profile(),
    )
    return found.status is ChainStatus.TRUSTED


def theirs(identity: Identity, chain: Chain, folder: Path) -> tuple[bool, str]:
    *pool, anchor = identity.chain
    write(folder / "anchor.pem", [anchor])
    write(folder / "pool.pem", pool)
    write(folder / "leaf.pem", [identity.certificate])
    command = [
        *(str(locate("openssl")), "verify", "-no-CApath", "-no-CAstore", "-purpose", "smimesign"),
        *("-attime", str(int(NOW.timestamp()))),
        *("-auth_level", "2"),  # 112 bits, as RSA of 2048 bits has
        *(("-policy", POLICY, "-explicit_policy") if chain.explicit else ("-policy_check",)),
        *chain.options,
        *("-CAfile", "anchor.pem"),
        *(("-untrusted", "pool.pem") if pool else ()),
        "leaf.pem",
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, check=False, text=True, timeout=60
    )
    return done.returncode == 0, done.stdout + done.stderr


def write(path: Path, certificates: Iterable[Certificate]) -> None:
    path.write_bytes(b"".join(one.x509().public_bytes(Encoding.PEM) for one in certificates))
