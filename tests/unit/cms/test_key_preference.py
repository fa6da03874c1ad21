"""The certificate a signer names: every form clients write, once, signed, or nobody."""

import pytest

from smime_proxy.cms import der, oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.identifier import MAX_KEY_IDENTIFIER, Identifier
from smime_proxy.cms.key_preference import read_preference
from smime_proxy.cms.signed_data import parse_signed_data
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT, indefinite, party

FIELDS = read_certificate(party("rsa", "bob").der)
SKI = FIELDS.key_identifier
BOB = FIELDS.issuer_and_serial
OCTETS = der.element(der.OCTET_STRING, SKI)
NAMED = Identifier(issuer=FIELDS.issuer, serial=FIELDS.serial)
BASE = (made.CONTENT_TYPE, made.message_digest(CONTENT))


def preference(*attributes: bytes, unsigned: bytes = b"") -> Identifier | None:
    info = made.signer_info([*BASE, *attributes], unsigned=unsigned)
    (signer,) = parse_signed_data(made.signed_data(info)).signers
    return read_preference(signer)


def standard(*values: bytes) -> bytes:
    return made.attribute(oids.ENCRYPTION_KEY_PREFERENCE, *values)


def microsoft(*values: bytes) -> bytes:
    return made.attribute(oids.MICROSOFT_KEY_PREFERENCE, *values)


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        (standard(b"\xa0" + BOB[1:]), NAMED),
        (standard(indefinite(0xA0, FIELDS.issuer, der.integer(FIELDS.serial))), NAMED),
        (standard(der.element(0xA1, OCTETS)), Identifier(ski=SKI)),
        (standard(der.element(0xA1, OCTETS, der.NULL)), Identifier(ski=SKI)),
        (standard(der.element(0x82, SKI)), Identifier(ski=SKI)),
        (standard(der.element(0xA2, OCTETS)), Identifier(ski=SKI)),
        (microsoft(BOB), NAMED),
    ],
    # Octets with keys of this run in them would give each process other names.
    ids=["name", "indefinite", "identifier", "with a null", "bare", "recipient", "microsoft"],
)
def test_every_form_is_read(attribute: bytes, found: Identifier) -> None:
    assert preference(attribute) == found


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (standard(),),
        (standard(der.element(0x82, SKI), der.element(0x82, SKI)),),  # two values
        (standard(der.element(0x82, SKI)), standard(der.element(0x82, SKI))),  # twice
        (standard(BOB),),  # not the choice's tag
        (standard(der.element(0xA1)),),
        (standard(der.element(0xA0, FIELDS.issuer)),),
        (standard(der.element(0x82, bytes(MAX_KEY_IDENTIFIER + 1))),),
        (standard(der.NULL),),
        (microsoft(b"\xa0" + BOB[1:]),),
        (microsoft(BOB, BOB),),
    ],
)
def test_what_is_there_twice_or_unreadable_names_nobody(attributes: tuple[bytes, ...]) -> None:
    assert preference(*attributes) is None


def test_the_standard_one_goes_first_and_microsofts_stands_in_for_it() -> None:
    own = standard(der.element(0x82, SKI))
    assert preference(microsoft(made.ALICE), own) == Identifier(ski=SKI)
    assert preference(microsoft(BOB), standard(der.NULL)) == NAMED


def test_what_is_not_signed_names_nobody() -> None:
    """Anybody on the way can add unsigned attributes."""
    assert preference(unsigned=der.element(0xA1, standard(b"\xa0" + BOB[1:]))) is None
