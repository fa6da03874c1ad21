from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import algorithms, der, oids
from smime_proxy.cms.algorithms import SHA256, SHA512
from smime_proxy.cms.capabilities import Capabilities, encode_capabilities
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.pss import DEFAULT, PssParameters
from smime_proxy.cms.sign import sign
from smime_proxy.cms.signed_data import parse_signed_data
from smime_proxy.cms.verify import MAX_ATTRIBUTES_OCTETS, Integrity, SignerReport, verify
from tests.unit.cms import made
from tests.unit.cms.parties import (
    CONTENT,
    SIGNING_TIME,
    indefinite,
    party,
    root,
    signer,
)

DETACHED = sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=True)
OPAQUE = sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=False)
ATTRIBUTES = [made.CONTENT_TYPE, made.message_digest(CONTENT)]


def judge(raw: bytes, *contents: bytes, extra: tuple[bytes, ...] = ()) -> SignerReport:
    (report,) = verify(parse_signed_data(raw), contents, extra)
    return report


def verdict(raw: bytes, *contents: bytes, extra: tuple[bytes, ...] = ()) -> tuple[Integrity, str]:
    report = judge(raw, *contents, extra=extra)
    return report.integrity, report.reason


def made_signed(*attributes: bytes, **options: str | bytes | PssParameters | None) -> bytes:
    return made.signed_data(made.signer_info(list(attributes), **options))  # type: ignore[arg-type]


def test_intact_content_is_intact() -> None:
    report = judge(DETACHED, CONTENT)
    assert report.integrity is Integrity.INTACT
    assert report.reason == ""
    assert report.certificate == party().der
    assert (report.digest, report.signature) == ("sha256", "rsassa_pkcs1v15")
    assert report.signing_time == SIGNING_TIME
    assert report.issuer == "CN=Test Root"
    assert int(report.serial, 16) == party().certificate.x509().serial_number
    assert report.ski == ""


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_flipped_octet_of_the_content_breaks(at: int, change: int) -> None:
    """V3."""
    altered = bytearray(CONTENT)
    altered[at] ^= change
    assert judge(DETACHED, bytes(altered)).integrity is Integrity.BROKEN


@given(st.integers(0, len(OPAQUE) - 1), st.integers(1, 255))
def test_a_flipped_octet_of_the_object_never_passes_for_something_else(
    at: int, change: int
) -> None:
    """What stays intact has the same content, signer and time: the octet was in the bag."""
    altered = bytearray(OPAQUE)
    altered[at] ^= change
    try:
        signed = parse_signed_data(bytes(altered))
    except CmsError:
        return
    for report in verify(signed, []):
        if report.integrity is Integrity.INTACT:
            assert signed.content_octets() == CONTENT
            assert report.signing_time == SIGNING_TIME
            # Fields of the certificate are covered by its issuer's signature, which others check.
            key = read_certificate(report.certificate or b"").public_key()
            assert key == party().key.public_key()


@given(st.binary(max_size=200), st.booleans())
def test_whatever_is_signed_verifies(content: bytes, detached: bool) -> None:
    raw = sign(content, signer("p256"), signing_time=SIGNING_TIME, detached=detached)
    assert judge(raw, content).integrity is Integrity.INTACT


def test_one_of_the_candidates_is_enough() -> None:
    """E49."""
    assert judge(DETACHED, CONTENT.replace(b"\r\n", b"\n"), CONTENT).integrity is Integrity.INTACT


def test_carried_content_that_differs_is_broken() -> None:
    """E16, CVE-2018-18509."""
    assert verdict(OPAQUE, b"other") == (
        Integrity.BROKEN,
        "the signature carries other content than the message",
    )
    assert judge(OPAQUE, b"other", CONTENT).integrity is Integrity.INTACT
    # The signature is over the message; what it carries besides is not.
    empty = made.signed_data(made.signer_info(ATTRIBUTES), content=b"carried")
    assert judge(empty, CONTENT).integrity is Integrity.BROKEN
    assert judge(empty).integrity is Integrity.BROKEN


def test_without_any_content_nothing_is_known() -> None:
    assert verdict(DETACHED) == (Integrity.UNKNOWN, "no content")


def test_nobody_signed_means_no_report() -> None:
    """E17, V4."""
    assert verify(parse_signed_data(made.signed_data(content=CONTENT)), []) == ()


def test_every_signer_has_a_report() -> None:
    """E17, V14."""
    good = made.signer_info(ATTRIBUTES)
    bad = made.signer_info([made.CONTENT_TYPE, made.message_digest(b"other")])
    reports = verify(parse_signed_data(made.signed_data(good, bad)), [CONTENT])
    assert [report.integrity for report in reports] == [Integrity.INTACT, Integrity.BROKEN]


def test_a_missing_certificate_is_not_a_broken_signature() -> None:
    """E58, V5."""
    raw = made.signed_data(made.signer_info(ATTRIBUTES), certificates=[root().der, b"\x30\x00"])
    assert verdict(raw, CONTENT) == (Integrity.UNKNOWN, "no certificate")
    assert judge(raw, CONTENT, extra=(party().der,)).certificate == party().der
    assert judge(raw, b"other").integrity is Integrity.BROKEN


def test_signers_are_found_by_key_identifier() -> None:
    """E50."""
    ski = read_certificate(party().der).ski
    assert ski is not None
    raw = made_signed(*ATTRIBUTES, sid=der.element(0x80, ski))
    report = judge(raw, CONTENT)
    assert report.integrity is Integrity.INTACT
    assert (report.ski, report.issuer, report.serial) == (ski.hex(), "", "")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ([made.CONTENT_TYPE], "missing"),
        ([made.message_digest(CONTENT)], "missing"),
        ([made.CONTENT_TYPE, *ATTRIBUTES], "not single"),
        ([made.CONTENT_TYPE, made.message_digest(b"other")], "content differs"),
        (
            [
                made.attribute(oids.CONTENT_TYPE, der.object_identifier("1.2.3")),
                made.message_digest(CONTENT),
            ],
            "content type differs",
        ),
    ],
)
def test_attributes_that_break_the_rules_break_the_signature(
    attributes: list[bytes], reason: str
) -> None:
    """E47."""
    report = judge(made_signed(*attributes), CONTENT)
    assert report.integrity is Integrity.BROKEN
    assert reason in report.reason


def test_attributes_that_are_too_large_are_unknown() -> None:
    """E91: they are encoded and hashed again for each key."""
    filler = made.attribute("1.2.3", der.element(der.OCTET_STRING, bytes(MAX_ATTRIBUTES_OCTETS)))
    assert verdict(made_signed(*ATTRIBUTES, filler), CONTENT) == (
        Integrity.UNKNOWN,
        "the signed attributes are too large",
    )
    filler = made.attribute("1.2.3", der.element(der.OCTET_STRING, bytes(90_000)))
    assert judge(made_signed(*ATTRIBUTES, filler), CONTENT).integrity is Integrity.INTACT


def test_attributes_may_be_unsorted_or_of_indefinite_length() -> None:
    """E46."""
    backwards = sorted(ATTRIBUTES, reverse=True)
    assert judge(made_signed(*backwards), CONTENT).integrity is Integrity.INTACT
    in_order = sorted(ATTRIBUTES)
    as_sent = indefinite(0xA0, *backwards)
    raw = made.signed_data(made.signer_info(in_order, as_sent=as_sent))
    assert judge(raw, CONTENT).integrity is Integrity.INTACT
    as_sent = der.element(0xA0, *backwards)
    raw = made.signed_data(made.signer_info(in_order, as_sent=as_sent))
    assert judge(raw, CONTENT).integrity is Integrity.INTACT


def test_without_attributes_the_signature_is_over_the_content() -> None:
    """E47."""
    raw = made.signed_data(made.signer_info(None, content=CONTENT))
    assert judge(raw, b"as it is stored", CONTENT).integrity is Integrity.INTACT
    assert verdict(raw, b"other") == (Integrity.BROKEN, "the signature does not verify")
    raw = made.signed_data(made.signer_info(None, content=CONTENT), content_type="1.2.3")
    assert verdict(raw, CONTENT) == (Integrity.BROKEN, "signed attributes are missing")


def test_attributes_of_another_signature_are_no_content() -> None:
    """The attributes of a good signature, sent as content of one without attributes."""
    octets = der.element(der.SET, *ATTRIBUTES)
    raw = made.signed_data(made.signer_info(None, content=octets), content=octets)
    assert verdict(raw) == (Integrity.BROKEN, "the content is another signature's attributes")
    assert verdict(raw, octets) == verdict(raw)
    one = made.signed_data(made.signer_info(None, content=b"1: text"), content=b"1: text")
    assert judge(one).integrity is Integrity.INTACT


@pytest.mark.parametrize(
    "last",
    ["sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512"],
)
def test_sha2_and_sha3_are_strong(last: str) -> None:
    """E56."""
    raw = made_signed(made.CONTENT_TYPE, made.message_digest(CONTENT, last), digest=last)
    report = judge(raw, CONTENT)
    assert (report.integrity, report.digest, report.weak) == (Integrity.INTACT, last, False)


@pytest.mark.parametrize("parameters", [b"", der.element(der.SEQUENCE), der.NULL])
def test_pss_without_parameters_is_sha1_and_weak(parameters: bytes) -> None:
    """RFC 4055 3.1."""
    raw = made_signed(
        made.CONTENT_TYPE,
        made.message_digest(CONTENT, "sha1"),
        digest="sha1",
        signature_algorithm=made.algorithm(algorithms.RSASSA_PSS, parameters),
        pss=DEFAULT,
    )
    report = judge(raw, CONTENT)
    assert (report.integrity, report.signature) == (Integrity.INTACT, "rsassa_pss")
    assert report.weak


@given(
    st.sampled_from(["sha256", "sha384", "sha512", "sha3_256"]),
    st.sampled_from(["sha1", "sha256", "sha512", "sha3_512"]),
    st.integers(0, 100),
)
def test_pss_of_any_mask_and_salt_verifies(digest: str, mask: str, salt_length: int) -> None:
    """E56: BouncyCastle and Java write masks and salts of their own."""
    names = algorithms.DIGESTS_BY_NAME
    pss = PssParameters(names[digest], names[mask], salt_length)
    raw = made_signed(
        made.CONTENT_TYPE,
        made.message_digest(CONTENT, digest),
        digest=digest,
        signature_algorithm=made.algorithm(algorithms.RSASSA_PSS, pss.encode()),
        pss=pss,
    )
    report = judge(raw, CONTENT)
    assert (report.integrity, report.weak) == (Integrity.INTACT, False)


def test_pss_over_another_digest_than_the_signers_is_broken() -> None:
    """E56, RFC 4056 3."""
    raw = made_signed(
        *ATTRIBUTES,
        signed_with="sha512",
        signature_algorithm=made.algorithm(
            algorithms.RSASSA_PSS, PssParameters(SHA512, SHA512, 64).encode()
        ),
        pss=PssParameters(SHA512, SHA512, 64),
    )
    integrity, reason = verdict(raw, CONTENT)
    assert integrity is Integrity.BROKEN
    assert reason == "RSASSA-PSS with sha512 over a sha256 digest"


def test_unreadable_pss_parameters_are_broken_and_unknown_ones_unknown() -> None:
    for parameters, integrity in (
        (der.integer(1), Integrity.BROKEN),
        (der.element(der.SEQUENCE, der.element(0xA3, der.integer(2))), Integrity.UNKNOWN),
    ):
        algorithm = made.algorithm(algorithms.RSASSA_PSS, parameters)
        report = judge(made_signed(*ATTRIBUTES, signature_algorithm=algorithm), CONTENT)
        assert report.integrity is integrity


SHA256_ID, RSA_ID = made.algorithm(SHA256.oid), made.RSA


@pytest.mark.parametrize(
    ("protected", "integrity"),
    [
        ([made.protection(SHA256_ID, RSA_ID)], Integrity.INTACT),
        ([made.protection(made.algorithm(SHA256.oid, der.NULL), RSA_ID)], Integrity.INTACT),
        ([made.protection(SHA256_ID, made.algorithm(algorithms.RSA_ENCRYPTION))], Integrity.INTACT),
        ([made.protection(made.algorithm(SHA512.oid), RSA_ID)], Integrity.BROKEN),
        ([made.protection(SHA256_ID, made.algorithm(algorithms.RSASSA_PSS))], Integrity.BROKEN),
        (
            [made.protection(SHA256_ID, made.algorithm(algorithms.RSA_ENCRYPTION, der.integer(1)))],
            Integrity.BROKEN,
        ),
        ([made.protection(SHA256_ID, RSA_ID)] * 2, Integrity.BROKEN),
        ([made.attribute(oids.ALGORITHM_PROTECTION, der.NULL)], Integrity.BROKEN),
        ([made.attribute(oids.ALGORITHM_PROTECTION, der.element(0x30))], Integrity.BROKEN),
    ],
)
def test_protected_algorithms_are_held_against_the_used(
    protected: list[bytes], integrity: Integrity
) -> None:
    """RFC 6211 2."""
    assert judge(made_signed(*ATTRIBUTES, *protected), CONTENT).integrity is integrity


def test_capabilities_are_those_of_an_intact_signature() -> None:
    """RFC 8551 2.5.2."""
    wanted = Capabilities((("2.16.840.1.101.3.4.1.46", b""), ("1.2.3", der.NULL)))
    stated = made.attribute(oids.SMIME_CAPABILITIES, encode_capabilities(wanted))
    raw = made_signed(*ATTRIBUTES, stated)
    assert judge(raw, CONTENT).capabilities == wanted
    assert judge(raw, b"other").capabilities is None
    assert judge(made_signed(*ATTRIBUTES), CONTENT).capabilities is None
    unsigned = der.element(0xA1, stated)
    assert judge(made_signed(*ATTRIBUTES, unsigned=unsigned), CONTENT).capabilities is None


@pytest.mark.parametrize(
    "odd",
    [
        [made.attribute(oids.SMIME_CAPABILITIES, der.NULL)],
        [made.attribute(oids.SMIME_CAPABILITIES)],
        [made.attribute(oids.SMIME_CAPABILITIES, b"\x30\x00", b"\x30\x00")],
        [made.attribute(oids.SMIME_CAPABILITIES, b"\x30\x00")] * 2,
    ],
)
def test_odd_capabilities_are_none_and_no_error(odd: list[bytes]) -> None:
    report = judge(made_signed(*ATTRIBUTES, *odd), CONTENT)
    assert (report.integrity, report.capabilities) == (Integrity.INTACT, None)


COUNTERSIGNATURE = "1.2.840.113549.1.9.6"


def test_countersignatures_and_unknown_attributes_are_passed_over() -> None:
    """RFC 5652 11.4: whatever they hold, the signature is what it is without them."""
    signer_info_inside = made.signer_info(ATTRIBUTES)
    for value in (signer_info_inside, der.NULL, der.element(der.SEQUENCE)):
        unsigned = der.element(
            0xA1, made.attribute(COUNTERSIGNATURE, value), made.attribute("1.2.3.4", value)
        )
        raw = made_signed(*ATTRIBUTES, made.attribute("1.2.3.4", value), unsigned=unsigned)
        assert judge(raw, CONTENT).integrity is Integrity.INTACT
        assert judge(raw, b"other").integrity is Integrity.BROKEN


@pytest.mark.parametrize("version", [0, 1, 3, 4, 99])
def test_odd_versions_change_nothing(version: int) -> None:
    """RFC 5652 5.3: old and sloppy signers write what they like."""
    raw = made_signed(*ATTRIBUTES)
    start = raw.index(made.ALICE) - 3
    odd = raw[:start] + der.integer(version) + raw[start + 3 :]
    assert judge(odd, CONTENT).integrity is Integrity.INTACT


def test_sha1_is_weak() -> None:
    """E56, V12."""
    raw = made_signed(made.CONTENT_TYPE, made.message_digest(CONTENT, "sha1"), digest="sha1")
    report = judge(raw, CONTENT)
    assert (report.integrity, report.digest, report.weak) == (Integrity.INTACT, "sha1", True)


def test_a_weak_digest_of_the_content_is_weak_whatever_the_signature_uses() -> None:
    sha256_with_rsa = made.algorithm("1.2.840.113549.1.1.11", der.NULL)
    raw = made_signed(
        made.CONTENT_TYPE,
        made.message_digest(CONTENT, "sha1"),
        digest="sha1",
        signed_with="sha256",
        signature_algorithm=sha256_with_rsa,
    )
    report = judge(raw, CONTENT)
    assert (report.integrity, report.weak) == (Integrity.INTACT, True)


def test_md5_is_broken() -> None:
    """E56, V12."""
    raw = made_signed(made.CONTENT_TYPE, made.message_digest(CONTENT, "md5"), digest="md5")
    assert verdict(raw, CONTENT) == (Integrity.BROKEN, "weak digest md5")
    with_rsa = made.algorithm("1.2.840.113549.1.1.4", der.NULL)
    raw = made_signed(*ATTRIBUTES, signed_with="md5", signature_algorithm=with_rsa)
    assert verdict(raw, CONTENT) == (Integrity.BROKEN, "weak digest md5")


def test_a_digest_named_by_the_signature_algorithm_is_used_and_judged() -> None:
    sha1_with_rsa = made.algorithm("1.2.840.113549.1.1.5", der.NULL)
    raw = made_signed(*ATTRIBUTES, signed_with="sha1", signature_algorithm=sha1_with_rsa)
    report = judge(raw, CONTENT)
    assert (report.integrity, report.weak) == (Integrity.INTACT, True)
    mislabelled = made_signed(*ATTRIBUTES, signature_algorithm=sha1_with_rsa)
    report = judge(mislabelled, CONTENT)
    assert (report.integrity, report.weak) == (Integrity.INTACT, False)


@pytest.mark.parametrize(
    ("oid", "name"), [("1.3.6.1.5.5.7.6.30", "rsassa_pss"), ("1.2.3.4", "1.2.3.4")]
)
def test_unsupported_signature_algorithms_are_unknown_and_named(oid: str, name: str) -> None:
    """E94."""
    report = judge(made_signed(*ATTRIBUTES, signature_algorithm=made.algorithm(oid)), CONTENT)
    assert (report.integrity, report.signature) == (Integrity.UNKNOWN, name)
    assert name in report.reason


def test_an_unsupported_digest_is_unknown_and_named() -> None:
    raw = made_signed(*ATTRIBUTES)
    sha256, other = der.object_identifier(algorithms.SHA256.oid), "2.16.840.1.101.3.4.2.99"
    report = judge(raw.replace(sha256, der.object_identifier(other)), CONTENT)
    assert (report.integrity, report.digest) == (Integrity.UNKNOWN, other)


def test_a_signing_time_that_cannot_be_read_is_none() -> None:
    """V13."""
    odd = made.attribute(oids.SIGNING_TIME, der.element(0x17, b"now"))
    report = judge(made_signed(*ATTRIBUTES, odd), CONTENT)
    assert (report.integrity, report.signing_time) == (Integrity.INTACT, None)


def test_the_time_is_reported_of_broken_signatures_too() -> None:
    altered = DETACHED[:-4] + bytes(4)
    report = judge(altered, CONTENT)
    assert report.integrity is Integrity.BROKEN
    assert report.signing_time == datetime(2026, 6, 1, 12, 30, tzinfo=UTC)


@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(OPAQUE)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        reports = verify(parse_signed_data(bytes(raw)), data.draw(st.sampled_from([[], [CONTENT]])))
    except CmsError:
        return
    for report in reports:
        assert (report.issuer + report.serial + report.ski).isprintable()
        assert (report.integrity is Integrity.INTACT) == (report.reason == "")
