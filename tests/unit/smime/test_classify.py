"""What protection a message has already, told by the CMS object and not by its label."""

from dataclasses import replace

import pytest

from smime_proxy.cms import der, oids
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import (
    MAX_LAYERS,
    Protection,
    _is_ciphertext,
    classify,
    inner_entity,
    is_labelled,
    outline,
    parts,
)
from tests.unit.cms import made
from tests.unit.smime.cases import PART, clear, cms, compressed, enveloped, message, opaque

PGP_SIGNED = (
    b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=p\r\n\r\n'
    b"--p\r\n" + PART + b"\r\n--p\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--p--\r\n"
)
PGP_ENCRYPTED = (
    b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=p\r\n\r\n'
    b"--p\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--p\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n"
    b"-----BEGIN PGP MESSAGE-----\r\nVersion: GnuPG v2\r\n\r\nhQEMA1\r\n=ab12\r\n"
    b"-----END PGP MESSAGE-----\r\n--p--\r\n"
)
SECRET = b"The secret."
# A ContentInfo as far as its content type, in quoted-printable.
LABEL = b"0=80=06=09=2A=86H=86=F7=0D=01=07=03=A0=80 " + SECRET + b"\r\n"
LABELLED = b"; name=smime.p7m\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + LABEL


def kind(entity: bytes) -> Protection:
    return classify(parse(message(entity)))


@pytest.mark.parametrize(
    ("entity", "protection"),
    [
        (PART, Protection.NONE),
        (clear(), Protection.CLEAR_SIGNED),
        (
            clear().replace(b"application/pkcs7-sig", b"Application/X-PKCS7-Sig"),
            Protection.CLEAR_SIGNED,
        ),
        (
            clear().replace(b' protocol="application/pkcs7-signature";', b""),
            Protection.CLEAR_SIGNED,
        ),
        (opaque(), Protection.SIGNED_DATA),
        (enveloped(), Protection.ENVELOPED_DATA),
        (enveloped().replace(b"pkcs7-mime", b"x-pkcs7-mime"), Protection.ENVELOPED_DATA),
        (enveloped().replace(b"enveloped-data", b"signed-data"), Protection.ENVELOPED_DATA),
        (enveloped().replace(b"pkcs7-mime", b"octet-stream"), Protection.ENVELOPED_DATA),
        (opaque().replace(b"signed-data", b"enveloped-data"), Protection.SIGNED_DATA),
        (opaque().replace(b"pkcs7-mime", b"octet-stream"), Protection.SIGNED_DATA),
        (cms(made.signed_data(), "certs-only"), Protection.CERTS_ONLY),
        (cms(made.wrap(oids.COMPRESSED_DATA), "compressed-data"), Protection.COMPRESSED_DATA),
        (cms(made.wrap(oids.ENCRYPTED_DATA), "enveloped-data"), Protection.ENCRYPTED_DATA),
        (cms(made.wrap(oids.AUTH_ENVELOPED_DATA), "x"), Protection.AUTH_ENVELOPED_DATA),
        (cms(made.wrap(oids.AUTHENTICATED_DATA), "x"), Protection.MALFORMED),
        (cms(b"rubbish", "signed-data"), Protection.MALFORMED),
        (PGP_SIGNED, Protection.NONE),
        (PGP_ENCRYPTED, Protection.NONE),
    ],
)
def test_e48_the_object_says_what_it_is_and_the_label_does_not(
    entity: bytes, protection: Protection
) -> None:
    """E48, E36."""
    assert kind(entity) is protection


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"--=_b--", b"--=_b\r\n\r\nthird\r\n--=_b--"),
        (b"--=_b--\r\n", b"--=_b--\r\nbehind\r\n"),
        (b"\r\n--=_b\r\nContent-Type: application/pkcs7-signature", b"\r\nContent-Type: x/y"),
        (b"boundary", b"border"),
        (b'name="smime.p7s"', b"x=y"),
    ],
)
def test_e62_what_is_no_proper_multipart_signed_is_malformed(old: bytes, new: bytes) -> None:
    """E62."""
    entity = clear()
    assert entity.count(old) >= 1
    entity = entity.replace(old, new)
    if new == b"x=y":  # a second part that is no signature at all
        entity = entity.replace(b"Content-Type: application/pkcs7-signature", b"Content-Type: a/b")
        entity = entity.replace(b"smime.p7s", b"a.txt")
    assert kind(entity) is Protection.MALFORMED


def test_text_behind_the_last_delimiter_is_seen_whatever_the_boundary() -> None:
    signed = clear().replace(b"=_b", b"=_'()+_,-./:=?")
    assert kind(signed) is Protection.CLEAR_SIGNED
    assert kind(signed + b" \r\n") is Protection.CLEAR_SIGNED
    assert kind(signed + b"Pay Eve.\r\n") is Protection.MALFORMED


@pytest.mark.parametrize("shown", [b"text/html", b"image/svg+xml"])
def test_an_opaque_signature_labelled_as_something_shown_is_no_signature(shown: bytes) -> None:
    assert kind(opaque().replace(b"application/pkcs7-mime", shown)) is Protection.MALFORMED
    # A ciphertext stays one: nobody gets it into a team's mailbox by another label.
    assert kind(enveloped().replace(b"application/pkcs7-mime", shown)) is Protection.ENVELOPED_DATA


def test_a_label_is_a_type_or_a_file_name_of_a_leaf() -> None:
    for name in (b"a.p7m", b"A.P7S", b"x.p7c", b"x.p7z"):
        leaf = (
            b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=" + name + b"\r\n\r\n"
        )
        assert is_labelled(parse(leaf))
    assert not is_labelled(parse(PART))
    assert not is_labelled(parse(clear()))


def test_the_outline_sees_a_ciphertext_through_signatures() -> None:
    """E66: opaque-signed alone is not encrypted."""
    layers = (enveloped(), clear(enveloped()), opaque(clear(enveloped())))
    for entity, signed in zip(layers, (False, True, True), strict=True):
        found = outline(parse(message(entity)))
        assert (found.smime, found.signed, found.encrypted) == (True, signed, True)
        assert found.enveloped is not None
    for entity in (clear(), opaque()):
        found = outline(parse(message(entity)))
        assert (found.smime, found.signed, found.encrypted) == (True, True, False)


def test_e66_the_outline_sees_through_compression() -> None:
    """E66: neither a ciphertext nor a signature is hidden by it; a bomb is left closed."""
    for entity, signed, encrypted in (
        (compressed(enveloped()), False, True),
        (compressed(clear(enveloped())), True, True),
        (opaque(compressed(enveloped())), True, True),
        (compressed(clear()), True, False),
        (compressed(PART), False, False),
        (compressed(enveloped() + bytes(2_000_000)), False, False),
        (compressed(compressed(compressed(enveloped()))), False, False),
    ):
        found = outline(parse(message(entity)))
        assert found.protection in {Protection.COMPRESSED_DATA, Protection.SIGNED_DATA}
        assert (found.smime, found.signed, found.encrypted) == (True, signed, encrypted)


def test_compressed_content_labelled_as_something_shown_is_malformed() -> None:
    """E15: a reader would show what nobody signed beside what somebody did."""
    shown = compressed(clear()).replace(b"application/pkcs7-mime", b"text/plain")
    assert kind(shown) is Protection.MALFORMED


def test_the_outline_of_pgp_mime() -> None:
    signed = outline(parse(message(PGP_SIGNED)))
    assert (signed.smime, signed.signed, signed.pgp_encrypted) == (False, True, False)
    encrypted = outline(parse(message(PGP_ENCRYPTED)))
    assert (encrypted.smime, encrypted.encrypted, encrypted.pgp_encrypted) == (False, False, True)
    assert not encrypted.signed


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"=_b", b'=_b"; boundary="B'),
        (b'"=_b"', b"\"=_b\"; boundary*=us-ascii''B"),
        (b'boundary="=_b"', b'boundary*0="=_b"'),
        (b'boundary="=_b"', b'boundary="\\=_b"'),
        (b'boundary="=_b"', b'boundary="=_b'),
        (b'boundary="=_b"', b'(") boundary=B;") boundary="=_b"'),
        (b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
    ],
)
def test_a_signed_multipart_that_others_may_take_apart_otherwise_is_no_signature(
    before: bytes, behind: bytes
) -> None:
    """E15: what another boundary finds in preamble or parts was signed by nobody."""
    entity = clear().replace(before, behind, 1)
    assert entity != clear()
    assert kind(entity) in {Protection.MALFORMED, Protection.NONE}


@pytest.mark.parametrize("kind_of", [b"multipart/mixed; boundary=a b", b"application/xhtml+xml"])
def test_an_opaque_signature_in_a_type_that_is_taken_apart_or_shown_is_none(
    kind_of: bytes,
) -> None:
    labelled = opaque().replace(b"application/pkcs7-mime", kind_of)
    assert kind(labelled) is Protection.MALFORMED


def test_text_behind_the_base64_of_an_opaque_signature_is_seen() -> None:
    """E62."""
    signed = opaque().rstrip()
    padding = b"" if signed.endswith(b"=") else b"\r\n="
    assert kind(signed + padding + b"\r\n--a b\r\n\r\nPay Eve.\r\n") is Protection.MALFORMED


@pytest.mark.parametrize(
    "entity",
    [
        enveloped() + b"=\r\n" + SECRET,
        b"Content-Type: application/pkcs7-mime" + LABELLED,
        b"Content-Type: text/plain" + LABELLED,
        b"Content-Type: application/pkcs7-mime" + LABELLED.replace(b"=03=A0", b"=06=A0"),
        clear(enveloped(), der=SECRET),
        clear(enveloped()).replace(b"This is a", SECRET, 1),
    ],
)
def test_i5_what_is_encrypted_by_its_label_alone_is_not_sealed(entity: bytes) -> None:
    """I5: readable text stands in it, or beside the ciphertext."""
    found = outline(parse(message(entity)))
    assert (found.encrypted, found.sealed) == (True, False)


def test_what_is_encrypted_and_nothing_else_is_sealed() -> None:
    for entity in (enveloped(), clear(enveloped()), opaque(enveloped())):
        assert outline(parse(message(entity))).sealed


def test_i5_ciphertext_for_nobody_or_that_is_text_is_not_sealed() -> None:
    """I5."""
    genuine = outline(parse(message(enveloped()))).enveloped
    assert genuine is not None
    assert _is_ciphertext(genuine)
    assert not _is_ciphertext(replace(genuine, recipients=()))
    for text in ((), (memoryview(b""),), (memoryview(SECRET * 4),)):
        assert not _is_ciphertext(replace(genuine, ciphertext=text))


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"application/pgp-encrypted\r\n", b"text/plain\r\n"),
        (b"Version: 1", SECRET * 9),
        (b"-----BEGIN PGP MESSAGE-----", SECRET),
        (b"hQEMA1", SECRET),
        (b"\r\n--p--", b"\r\n" + SECRET + b"\r\n--p--"),
        (b"--p--\r\n", b"--p--\r\n" + SECRET),
        (b"\r\n\r\n--p", b"\r\n\r\n" + SECRET + b"\r\n--p"),
    ],
)
def test_i5_pgp_mime_by_its_label_alone_is_left_alone_but_not_encrypted(
    before: bytes, behind: bytes
) -> None:
    """I5."""
    entity = PGP_ENCRYPTED.replace(before, behind, 1)
    assert entity != PGP_ENCRYPTED
    found = outline(parse(message(entity)))
    assert (found.pgp_encrypted, found.signed) == (False, True)


def test_a_part_makes_it_smime_and_neither_signed_nor_encrypted() -> None:
    """E10, E15."""
    for part in (clear(), enveloped(), opaque()):
        entity = (
            b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + part + b"\r\n--m--\r\n"
        )
        found = outline(parse(message(entity)))
        assert (found.protection, found.smime) == (Protection.NONE, True)
        assert (found.signed, found.encrypted) == (False, False)


def test_attached_messages_stay_closed() -> None:
    """E61."""
    attached = b"Content-Type: message/rfc822\r\n\r\n" + message(enveloped())
    found = outline(parse(message(attached)))
    assert (found.smime, found.encrypted) == (False, False)
    assert len(parts(parse(attached))) == 1


def test_certificates_alone_protect_nothing() -> None:
    found = outline(parse(message(cms(made.signed_data(), "certs-only"))))
    assert (found.smime, found.signed, found.encrypted) == (True, False, False)


def test_the_outline_looks_no_deeper_than_the_limit() -> None:
    entity = enveloped()
    for _ in range(MAX_LAYERS - 1):
        entity = opaque(entity)
    assert outline(parse(message(entity))).encrypted
    assert not outline(parse(message(opaque(entity)))).encrypted


def test_the_inner_entity_is_the_signed_one() -> None:
    for entity, protection in (
        (clear(), Protection.CLEAR_SIGNED),
        (opaque(), Protection.SIGNED_DATA),
    ):
        inner = inner_entity(parse(message(entity)), protection)
        assert inner is not None
        assert bytes(inner) == PART
    detached = cms(made.signed_data(made.signer_info([])), "signed-data")
    assert inner_entity(parse(message(detached)), Protection.SIGNED_DATA) is None
    assert inner_entity(parse(message(cms(b"rubbish"))), Protection.SIGNED_DATA) is None
    assert inner_entity(parse(message(enveloped())), Protection.ENVELOPED_DATA) is None


def test_a_ciphertext_nobody_can_read_the_recipients_of_is_one_all_the_same() -> None:
    broken = cms(made.wrap(oids.ENVELOPED_DATA, der.integer(0)))
    found = outline(parse(message(broken)))
    assert (found.encrypted, found.enveloped) == (True, None)
    shared = outline(parse(message(cms(made.wrap(oids.ENCRYPTED_DATA)))))
    assert (shared.encrypted, shared.enveloped) == (True, None)
