from contextlib import suppress

import pytest
from asn1crypto import cms as asn1
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.sign import sign
from smime_proxy.cms.signed_data import (
    MAX_ATTRIBUTES,
    MAX_CERTIFICATE,
    MAX_CERTIFICATES,
    MAX_SIGNERS,
    is_certs_only,
    parse_signed_data,
)
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT, SIGNING_TIME, indefinite, party, root, signer

AS_OCTETS = der.element(der.OCTET_STRING, CONTENT)
AS_TEXT = der.element(0x0C, CONTENT)
INFO = made.signer_info([made.CONTENT_TYPE, made.message_digest(CONTENT)])


def test_fields_are_what_asn1crypto_reads() -> None:
    raw = sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=False)
    signed, other = parse_signed_data(raw), asn1.ContentInfo.load(raw)["content"]
    assert signed.content_type == oids.DATA
    assert signed.content_octets() == CONTENT
    assert set(signed.certificates) == {party().der, root().der}
    info, (own,) = other["signer_infos"][0], signed.signers
    assert own.digest == info["digest_algorithm"]["algorithm"].dotted
    assert own.signature_algorithm == info["signature_algorithm"]["algorithm"].dotted
    assert own.signature == info["signature"].native
    assert own.sid.serial == info["sid"].chosen["serial_number"].native
    assert own.sid.issuer == info["sid"].chosen["issuer"].dump()
    assert [a.oid for a in own.attributes] == [a["type"].dotted for a in info["signed_attrs"]]
    assert own.signed_attributes == info["signed_attrs"].dump()


def test_detached_has_no_content() -> None:
    signed = parse_signed_data(made.signed_data(INFO))
    assert signed.content is None
    assert signed.content_octets() is None


def test_indefinite_lengths_are_read_the_same() -> None:
    """E45."""
    raw = made.signed_data(INFO, content=CONTENT)
    chunks = (der.element(4, CONTENT[:5]), der.element(4, CONTENT[5:]))
    streamed = ber.read_only(raw).children()[1].children()[0].children()
    parts = [part.encoding.tobytes() for part in streamed]
    parts[2] = indefinite(
        0x30, der.object_identifier(oids.DATA), indefinite(0xA0, indefinite(0x24, *chunks))
    )
    parts[3] = indefinite(0xA0, party().der)
    other = indefinite(
        0x30, der.object_identifier(oids.SIGNED_DATA), indefinite(0xA0, indefinite(0x30, *parts))
    )
    one, two = parse_signed_data(raw), parse_signed_data(other)
    assert two.content_octets() == CONTENT
    assert (one.certificates, one.signers) == (two.certificates, two.signers)


def test_a_certificate_of_indefinite_length_becomes_der() -> None:
    contents = ber.read_only(party().der).contents.tobytes()
    signed = parse_signed_data(made.signed_data(INFO, certificates=[indefinite(0x30, contents)]))
    assert signed.certificates == (party().der,)


def test_unsigned_attributes_are_kept() -> None:
    unsigned = der.element(0xA1, made.attribute("1.2.3", der.NULL))
    raw = made.signed_data(made.signer_info([made.CONTENT_TYPE], unsigned=unsigned))
    (kept,) = parse_signed_data(raw).signers[0].unsigned_attributes
    assert (kept.oid, kept.values) == ("1.2.3", (der.NULL,))


def test_only_the_first_certificates_are_kept() -> None:
    bag = [der.element(der.SEQUENCE, der.integer(n)) for n in range(5000)]
    signed = parse_signed_data(made.signed_data(INFO, certificates=bag))
    assert signed.certificates == tuple(bag[:MAX_CERTIFICATES])


def test_certificates_that_are_too_large_are_left_out() -> None:
    """E91: each signer may have it hashed and read."""
    frame = len(der.element(der.SEQUENCE, bytes(MAX_CERTIFICATE))) - MAX_CERTIFICATE
    largest = der.element(der.SEQUENCE, bytes(MAX_CERTIFICATE - frame))
    bag = [der.element(der.SEQUENCE, bytes(MAX_CERTIFICATE - frame + 1)), largest]
    signed = parse_signed_data(made.signed_data(INFO, certificates=bag))
    assert signed.certificates == (largest,)


def test_other_certificate_choices_are_passed_over() -> None:
    bag = [der.element(0xA3, der.NULL), party().der]
    assert parse_signed_data(made.signed_data(INFO, certificates=bag)).certificates == (
        party().der,
    )


def test_signers_are_limited() -> None:
    """E91."""
    assert len(parse_signed_data(made.signed_data(*[INFO] * MAX_SIGNERS)).signers) == MAX_SIGNERS
    with pytest.raises(MalformedCms, match="too many signers"):
        parse_signed_data(made.signed_data(*[INFO] * (MAX_SIGNERS + 1)))


def test_attributes_are_limited() -> None:
    many = [made.CONTENT_TYPE] * (MAX_ATTRIBUTES + 1)
    with pytest.raises(MalformedCms, match="too many attributes"):
        parse_signed_data(made.signed_data(made.signer_info(many)))


@pytest.mark.parametrize(
    "raw",
    [
        made.wrap(oids.ENVELOPED_DATA, der.integer(1)),
        made.wrap(oids.SIGNED_DATA, der.integer(1)),
        made.signed_data(INFO, optional=der.element(0xA5, der.NULL)),
        made.signed_data(der.element(der.SEQUENCE, der.integer(1))),
        made.signed_data(made.signer_info(None, unsigned=der.element(0xA2))),
        made.signed_data(made.signer_info(None, as_sent=der.element(0xA0, der.NULL))),
        made.signed_data(made.signer_info(None, as_sent=der.element(0xA0, der.element(0x30)))),
        made.signed_data(INFO, content=CONTENT).replace(AS_OCTETS, AS_TEXT),
    ],
)
def test_other_shapes_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        parse_signed_data(raw)


def test_certificates_alone_are_recognised() -> None:
    """V30, RFC 8551 3.8."""
    assert is_certs_only(made.signed_data())
    assert is_certs_only(made.signed_data(content=b""))
    assert is_certs_only(made.signed_data(certificates=[], optional=der.element(0xA1, der.NULL)))
    assert not is_certs_only(made.signed_data(INFO))
    assert not is_certs_only(made.signed_data(content=b"x"))
    assert not is_certs_only(made.signed_data(certificates=[]))


@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(made.signed_data(INFO, content=CONTENT))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CmsError):
        parse_signed_data(bytes(raw))
