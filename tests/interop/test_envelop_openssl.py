"""What is enveloped here is opened by OpenSSL: every key and cipher that it knows, in all pairs."""

import os
import subprocess
from itertools import product
from pathlib import Path

import pytest

from smime_proxy.cms.envelop import envelop
from tests.peers import require
from tests.unit.cms.holders import CURVES, holder

pytestmark = pytest.mark.interop

OPENSSL = require("openssl")
CONTENT = bytes(range(256)) * 1000  # over several chunks
CIPHERS = ["aes256_cbc", "aes192_cbc", "aes128_cbc", "aes256_gcm", "aes192_gcm", "aes128_gcm"]


def opened(folder: Path, kind: str) -> bytes:
    """Give what OpenSSL makes of the file `sealed` with the key of this kind."""
    certificate, key = holder(kind).files()
    (folder / "certificate.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)
    done = subprocess.run(
        [OPENSSL, "cms", "-decrypt", "-inform", "DER", "-in", "sealed", "-binary",
         "-recip", "certificate.pem", "-inkey", "key.pem"],
        cwd=folder, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(("kind", "cipher"), list(product(("rsa", *CURVES), CIPHERS)))
def test_openssl_opens_every_pair_of_key_and_cipher(tmp_path: Path, kind: str, cipher: str) -> None:
    """E53-E55."""
    recipients = [holder(kind).recipient()]
    sealed = envelop(CONTENT, recipients, content_encryption=cipher, random=os.urandom)
    (tmp_path / "sealed").write_bytes(sealed)
    assert opened(tmp_path, kind) == CONTENT


@pytest.mark.parametrize("cipher", CIPHERS)
def test_openssl_opens_oaep(tmp_path: Path, cipher: str) -> None:
    """E85."""
    recipients = [holder("rsa").recipient(oaep=True)]
    sealed = envelop(CONTENT, recipients, content_encryption=cipher, random=os.urandom)
    (tmp_path / "sealed").write_bytes(sealed)
    assert opened(tmp_path, "rsa") == CONTENT


@pytest.mark.parametrize("cipher", ["aes256_cbc", "aes128_gcm"])
def test_openssl_finds_its_key_among_several_kinds(tmp_path: Path, cipher: str) -> None:
    kinds = ["rsa", "p256", "brainpool512"]
    recipients = [holder(kind).recipient() for kind in (*kinds, "x25519", "mlkem768")]
    sealed = envelop(CONTENT, recipients, content_encryption=cipher, random=os.urandom)
    (tmp_path / "sealed").write_bytes(sealed)
    assert [opened(tmp_path, kind) for kind in kinds] == [CONTENT] * 3
