"""Johnny's S/MIME classes c1 to c4, m1 to m4 and i1 to i3, each with what the recipient is told.

Row A08; Müller et al., "Johnny, you are fired!" (USENIX Security 2019), sections 4.1 to 4.3. The
mail is made here: eve has a certificate of her own that everybody trusts, alice signed one mail.
"""

from dataclasses import dataclass

import pytest

from smime_proxy.message.build import multipart_signed_entity
from tests import pki
from tests.unit.cms import made
from tests.unit.smime.cases import (
    ALICE,
    PART,
    clear,
    cms,
    delivered,
    fields,
    message,
    opaque,
    person,
    signature,
)

EVE = "eve@example.test"
LIE = b"Content-Type: text/plain\r\n\r\nPay Eve.\r\n"


def eve_signs(part: bytes = LIE) -> bytes:
    der = signature(part, person(EVE, label="eve", name="Eve"))
    return multipart_signed_entity(part, der, "sha-256", "=_eve")


def nobody_known_signs() -> bytes:
    """Sign as alice by a certificate eve made for herself, with all names of the right one."""
    own = pki.person(None, ALICE, kind="p256", label="eve", name="Alice")
    return multipart_signed_entity(LIE, signature(LIE, own), "sha-256", "=_eve")


def beside(*parts: bytes, kind: str = "mixed") -> bytes:
    body = b"".join(b"--m\r\n" + part + b"\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary=m\r\n\r\n".encode() + body + b"--m--\r\n"


def two_signers() -> bytes:
    good = made.signer_info([made.CONTENT_TYPE, made.message_digest(LIE)])
    other = made.signer_info([made.CONTENT_TYPE, made.message_digest(PART)])
    return clear(LIE, der=made.signed_data(other, good))


HIDING = b'Content-Type: text/html\r\n\r\nPay Eve.<div style="display:none">\r\n'
SHOWING = b'Content-Type: text/html\r\n\r\nPay Eve.<img src="cid:1">\r\n'


@dataclass(frozen=True, slots=True)
class Told:
    """A mail of a class, and the results its recipient is told."""

    content: bytes
    result: str
    badge: str


JOHNNY = {
    # CMS: the signature is taken for one over something else, by somebody, or by her.
    "c1 other eContent": Told(
        message(clear(LIE, der=signature(PART, detached=False))), "fail", "red"
    ),
    "c2 no signer, detached": Told(
        message(clear(LIE, der=made.signed_data())), "neutral", "yellow"
    ),
    "c2 no signer, opaque": Told(
        message(cms(made.signed_data(content=LIE), "signed-data")), "neutral", "yellow"
    ),
    "c3 one of two signers": Told(message(two_signers()), "fail", "red"),
    "c4 trusted by nobody": Told(message(nobody_known_signs()), "policy", "yellow"),
    # MIME: alice's signed mail is in there, beside or below what is shown.
    "m1 text before": Told(message(beside(LIE, clear())), "none", "none"),
    "m1 text behind": Told(message(beside(clear(), LIE)), "none", "none"),
    "m2 hidden by HTML": Told(message(beside(HIDING, clear())), "none", "none"),
    "m3 shown by reference": Told(
        message(beside(SHOWING, b"Content-ID: <1>\r\n" + clear(), kind="related")), "none", "none"
    ),
    "m4 attached, opaque": Told(message(beside(LIE, opaque())), "none", "none"),
    "m4 attached message": Told(
        message(beside(LIE, b"Content-Type: message/rfc822\r\n\r\n" + message(clear()))),
        "none",
        "none",
    ),
    # Identity: eve's own good signature, and alice's name.
    "i1 another sender": Told(message(eve_signs()), "policy", "yellow"),
    "i1 named as Sender": Told(message(eve_signs(), more=f"Sender: {EVE}\r\n"), "policy", "yellow"),
    "i2 address as name": Told(
        message(eve_signs(), sender=f'"{ALICE}" <{EVE}>'), "policy", "yellow"
    ),
    "i2 address as name of hers": Told(
        message(eve_signs(), sender=f"{EVE} <{ALICE}>"), "policy", "yellow"
    ),
    "i3 two mailboxes": Told(message(eve_signs(), sender=f"{ALICE}, {EVE}"), "policy", "yellow"),
    "i3 two fields, hers last": Told(
        message(eve_signs(), sender=f"{ALICE}\r\nFrom: {EVE}"), "policy", "yellow"
    ),
    "i3 two fields, hers first": Told(
        message(eve_signs(), sender=f"{EVE}\r\nFrom: {ALICE}"), "policy", "yellow"
    ),
}


def test_a08_every_class_has_a_mail() -> None:
    classes = {name.partition(" ")[0] for name in JOHNNY}
    assert classes == {*("c1", "c2", "c3", "c4"), *("m1", "m2", "m3", "m4"), *("i1", "i2", "i3")}


@pytest.mark.parametrize("name", list(JOHNNY))
def test_a08_nothing_is_told_to_be_signed_by_whom_it_seems_to_be(name: str) -> None:
    """A08: the fields are those of the table, and what is delivered is what came."""
    told = JOHNNY[name]
    shown = fields(told.content)
    assert shown["Authentication-Results"].split("smime=")[1].split()[0] == told.result
    assert shown["X-SMIME-Signature"].partition(";")[0] == told.result
    assert shown["X-SMIME-Badge"] == told.badge
    assert delivered(told.content).endswith(b"\r\n" + told.content)


@pytest.mark.parametrize(
    ("entity", "sender"), [(clear(), ALICE), (opaque(), ALICE), (eve_signs(), EVE)]
)
def test_a08_the_honest_mail_they_are_made_of_passes(entity: bytes, sender: str) -> None:
    assert fields(message(entity, sender=sender))["X-SMIME-Badge"] == "green"
