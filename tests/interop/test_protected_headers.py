"""Protected headers as other clients wrote them: the Subject comes back, the display goes.

draft-autocrypt-lamps-protected-headers, its S/MIME examples; E40.
"""

from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.message.parse import parse
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.verify import Trust
from tests.peers import corpora

pytestmark = pytest.mark.corpora

AT = datetime(2019, 12, 1, tzinfo=UTC)


@cache
def keys() -> tuple[DecryptionKey, ...]:
    found = []
    for path in sorted(corpora("smime", "protected-headers", "_keys").glob("*.key.pem")):
        key = load_pem_private_key(path.read_bytes(), None)
        certificate = path.with_name(path.name.replace(".key.", ".crt."))
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
        assert isinstance(key, rsa.RSAPrivateKey)
        found.append(DecryptionKey.build(key, der))
    return tuple(found)


def received(name: str) -> Received:
    (path,) = corpora("smime", "protected-headers").rglob(name)
    return receive(parse(path.read_bytes()), keys(), Trust((), (), lambda *_: ()), AT)


@pytest.mark.parametrize(
    "name",
    [
        "smime-enc+legacy-disp.eml",
        "smime-sign+enc.eml",
        "smime-sign+enc+legacy-disp.eml",
    ],
)
def test_e40_the_subject_of_encrypted_mail_comes_back(name: str) -> None:
    """E40."""
    found = received(name)
    assert found.entity.header.first("subject") == "..."
    out = found.message(found.entity.header, ())
    assert parse(out).header.first("subject") == "BarCorp contract signed, let's go!"
    if "sign" not in name:
        assert b"Subject" not in out.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", ["smime-multipart-signed.eml", "smime-onepart-signed.eml"])
def test_e40_mail_that_is_only_signed_is_not_touched(name: str) -> None:
    """E40: and nothing differs from what was signed."""
    found = received(name)
    assert found.message(found.entity.header, ()) == bytes(found.entity)
    assert "differs" not in found.report.reason
