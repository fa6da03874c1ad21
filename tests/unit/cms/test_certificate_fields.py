import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.cms.certificate_fields import KEY_ENCIPHERMENT, read_certificate
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from tests import pki
from tests.pki import with_key_algorithm
from tests.unit.cms.parties import party, root


@pytest.mark.parametrize("kind", ["rsa", "p256", "p521"])
def test_fields_are_what_cryptography_reads(kind: str) -> None:
    identity = party(kind)
    fields, certificate = read_certificate(identity.der), identity.certificate.x509()
    assert fields.issuer == certificate.issuer.public_bytes()
    assert fields.serial == certificate.serial_number
    stated = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert fields.ski == fields.key_identifier == stated.digest
    assert fields.public_key_info == certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    assert fields.public_key() == certificate.public_key()
    assert fields.key_usage & KEY_ENCIPHERMENT


def test_a_key_identifier_that_is_not_stated_is_the_usual_one() -> None:
    identity = pki.person(root(), "x@example.test", label="cms alice rsa", identifiers=False)
    fields = read_certificate(identity.der)
    assert fields.ski is None
    assert fields.key_identifier == read_certificate(party().der).ski


def test_a_stated_key_identifier_is_taken_whatever_it_is() -> None:
    stated = x509.SubjectKeyIdentifier(b"\x01\x02")
    identity = pki.person(
        root(), "x@example.test", label="cms own", identifiers=False, extra=((stated, False),)
    )
    assert read_certificate(identity.der).key_identifier == b"\x01\x02"


def test_key_usage_is_read_and_everything_when_absent() -> None:
    signing = pki.person(
        root(), "x@example.test", label="cms alice rsa", usage=("digital_signature",)
    )
    assert not read_certificate(signing.der).key_usage & KEY_ENCIPHERMENT
    free = pki.person(root(), "x@example.test", label="cms alice rsa", usage=None)
    assert read_certificate(free.der).key_usage == 0xFF


@pytest.mark.parametrize(
    "kind",
    [
        *("rsa", "dsa", "p256", "brainpool", "ed25519", "ed448", "x25519", "x448"),
        *("mldsa44", "mldsa65", "mldsa87"),
    ],
)
def test_keys_of_every_kind_are_read(kind: str) -> None:
    identity = party(kind)
    assert read_certificate(identity.der).public_key() == identity.key.public_key()


@pytest.mark.parametrize("generate", [MLKEM768PrivateKey.generate, MLKEM1024PrivateKey.generate])
def test_ml_kem_keys_are_read(
    generate: Callable[[], MLKEM768PrivateKey | MLKEM1024PrivateKey],
) -> None:
    public = generate().public_key()
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = replace(read_certificate(party().der), public_key_info=info)
    assert fields.public_key() == public


@pytest.mark.parametrize("oid", ["1.2.840.113549.1.1.10", "1.2.840.113549.1.1.7"])
@pytest.mark.parametrize("parameters", [b"", der.element(der.SEQUENCE)])
def test_rsa_keys_for_one_scheme_are_read_and_named(oid: str, parameters: bytes) -> None:
    """RFC 4055 1.2."""
    algorithm = der.element(der.SEQUENCE, der.object_identifier(oid), parameters)
    fields = read_certificate(with_key_algorithm(party().der, algorithm))
    assert fields.public_key() == party().key.public_key()
    assert fields.key_algorithm() == (oid, parameters)


def test_other_keys_are_unsupported_by_name() -> None:
    algorithm = der.element(der.SEQUENCE, der.object_identifier("1.2.3.4"))
    with pytest.raises(UnsupportedAlgorithm) as caught:
        read_certificate(with_key_algorithm(party().der, algorithm)).public_key()
    assert caught.value.oid == "1.2.3.4"


def test_a_key_without_bits_has_no_algorithm() -> None:
    fields = replace(read_certificate(party().der), public_key_info=der.element(der.SEQUENCE))
    with pytest.raises(MalformedCms, match="unreadable"):
        fields.key_algorithm()
    with pytest.raises(UnsupportedAlgorithm):
        fields.public_key()


def test_unreadable_keys_are_unsupported() -> None:
    own = party().der
    fields = read_certificate(own)
    info = fields.public_key_info
    with pytest.raises(UnsupportedAlgorithm, match="unreadable public key"):
        read_certificate(own.replace(info, info[:40] + bytes(len(info) - 40))).public_key()


@given(st.data())
def test_damaged_certificates_raise_nothing_else(data: st.DataObject) -> None:
    """M18."""
    raw = bytearray(party().der)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        fields = read_certificate(bytes(raw))
        assert len(fields.key_identifier) <= len(raw)
        fields.public_key()
    except CmsError:
        pass


def test_the_fallback_identifier_is_over_the_key_bits() -> None:
    fields = read_certificate(party("p256").der)
    assert fields.key_identifier == hashlib.sha1(fields.public_key_info[-65:]).digest()  # noqa: S324 - RFC 5280 4.2.1.2
