from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import algorithms, ber, der, oids
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.signed_attributes import encodings, read_signed_attributes, read_time
from smime_proxy.cms.signed_data import SignerInfo, parse_signed_data
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT, indefinite

DIGEST = made.message_digest(CONTENT)
TIME = made.attribute(oids.SIGNING_TIME, b"\x17\x0d260601123000Z")


def signer_with(*attributes: bytes, unsigned: bytes = b"") -> SignerInfo:
    info = made.signer_info(attributes, unsigned=unsigned)
    (signer,) = parse_signed_data(made.signed_data(info)).signers
    return signer


def test_type_digest_and_time_are_read() -> None:
    found = read_signed_attributes(signer_with(made.CONTENT_TYPE, DIGEST, TIME))
    assert found.content_type == oids.DATA
    assert len(found.message_digest) == 32
    assert found.signing_time == datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    assert found.certificate_hashes == ()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ([made.CONTENT_TYPE], "missing"),
        ([DIGEST], "missing"),
        ([made.CONTENT_TYPE, made.CONTENT_TYPE, DIGEST], "content type attribute is not single"),
        ([made.CONTENT_TYPE, DIGEST, DIGEST], "message digest attribute is not single"),
        ([made.CONTENT_TYPE, DIGEST, TIME, TIME], "signing time attribute is not single"),
        ([made.CONTENT_TYPE, made.attribute(oids.MESSAGE_DIGEST)], "not single"),
        (
            [made.CONTENT_TYPE, made.attribute(oids.MESSAGE_DIGEST, b"\x04\x00", b"\x04\x00")],
            "not single",
        ),
        ([made.CONTENT_TYPE, made.attribute(oids.MESSAGE_DIGEST, der.NULL)], "OCTET STRING"),
        ([made.CONTENT_TYPE, DIGEST, made.attribute(oids.SIGNING_TIME, der.NULL)], "no time"),
    ],
)
def test_the_rules_of_rfc_5652_11_hold(attributes: list[bytes], reason: str) -> None:
    """E47."""
    with pytest.raises(MalformedCms, match=reason):
        read_signed_attributes(signer_with(*attributes))


@pytest.mark.parametrize("stray", [TIME, DIGEST, made.CONTENT_TYPE])
def test_what_must_be_signed_may_not_stand_unsigned(stray: bytes) -> None:
    """E47, RFC 5652 11.1-11.3."""
    signer = signer_with(made.CONTENT_TYPE, DIGEST, unsigned=der.element(0xA1, stray))
    with pytest.raises(MalformedCms, match="must be signed"):
        read_signed_attributes(signer)


@pytest.mark.parametrize(
    ("tag", "text", "iso"),
    [
        (0x17, b"491231235959Z", "2049-12-31T23:59:59+00:00"),
        (0x17, b"500101000000Z", "1950-01-01T00:00:00+00:00"),
        (0x17, b"2606011230Z", "2026-06-01T12:30:00+00:00"),
        (0x17, b"260601123000+0200", "2026-06-01T10:30:00+00:00"),
        (0x17, b"260601003000-0130", "2026-06-01T02:00:00+00:00"),
        (0x18, b"20500101000000Z", "2050-01-01T00:00:00+00:00"),
        (0x18, b"20260601123000.5Z", "2026-06-01T12:30:00+00:00"),
    ],
)
def test_times_are_read_as_they_are_written(tag: int, text: bytes, iso: str) -> None:
    assert read_time(der.element(tag, text)) == datetime.fromisoformat(iso)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (0x17, b""),
        (0x17, b"261301123000Z"),
        (0x17, b"260601123000"),
        (0x17, b"260601123000+9999"),
        (0x17, b"20260601123000Z"),
        (0x18, b"260601123000Z"),
        (0x18, b"00000101000000Z"),
        (0x18, b"00010101000000+1200"),
        (0x18, b"2026060112300" + b"0" * 200),
    ],
)
def test_odd_times_are_none(tag: int, text: bytes) -> None:
    """V13."""
    assert read_time(der.element(tag, text)) is None


def ess(*parts: bytes) -> bytes:
    one = der.element(der.SEQUENCE, *parts)
    return der.element(der.SEQUENCE, der.element(der.SEQUENCE, one))


HASH = der.element(der.OCTET_STRING, b"hash")


@pytest.mark.parametrize(
    ("oid", "value", "expected"),
    [
        (oids.SIGNING_CERTIFICATE, ess(HASH), [("sha1", b"hash")]),
        (oids.SIGNING_CERTIFICATE_V2, ess(HASH), [("sha256", b"hash")]),
        (
            oids.SIGNING_CERTIFICATE_V2,
            ess(made.algorithm(algorithms.SHA512.oid), HASH, der.NULL),
            [("sha512", b"hash")],
        ),
        (oids.SIGNING_CERTIFICATE_V2, ess(made.algorithm("1.2.3"), HASH), []),
        (oids.SIGNING_CERTIFICATE_V2, ess(), []),
        (oids.SIGNING_CERTIFICATE_V2, der.element(der.SEQUENCE), []),
        (oids.SIGNING_CERTIFICATE_V2, der.NULL, []),
    ],
)
def test_the_certificate_that_was_meant_is_read(
    oid: str, value: bytes, expected: list[tuple[str, bytes]]
) -> None:
    signer = signer_with(made.CONTENT_TYPE, DIGEST, made.attribute(oid, value))
    hashes = read_signed_attributes(signer).certificate_hashes
    assert [(digest.name, found) for digest, found in hashes] == expected


def test_a_hash_of_the_certificate_counts_once() -> None:
    """E91: each costs a digest of a certificate; 3 MB of mail made it a minute of work."""
    other = ess(der.element(der.OCTET_STRING, b"other"))
    values = [*[ess(HASH)] * 1000, other]
    attributes = [made.attribute(oids.SIGNING_CERTIFICATE_V2, *values)] * 2
    signer = signer_with(made.CONTENT_TYPE, DIGEST, *attributes)
    hashes = read_signed_attributes(signer).certificate_hashes
    assert [found for _, found in hashes] == [b"hash", b"other"]


def test_encodings_are_as_sent_then_sorted() -> None:
    """E46."""
    one, two = der.integer(1), der.integer(2)
    assert list(encodings(der.element(0xA0, one, two))) == [der.element(der.SET, one, two)]
    unsorted = [der.element(der.SET, two, one), der.element(der.SET, one, two)]
    assert list(encodings(der.element(0xA0, two, one))) == unsorted
    assert list(encodings(indefinite(0xA0, two, one))) == unsorted


@given(st.binary(max_size=100))
def test_arbitrary_values_raise_nothing_else(raw: bytes) -> None:
    try:
        ber.read_only(raw)
        signer = signer_with(
            made.CONTENT_TYPE,
            DIGEST,
            made.attribute(oids.SIGNING_CERTIFICATE_V2, raw),
            made.attribute(oids.SIGNING_TIME, raw),
        )
        read_signed_attributes(signer)
    except CmsError:
        pass
