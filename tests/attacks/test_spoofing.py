"""Johnny, you are fired: what looks signed by the sender and is not.

Müller et al. 2019 (classes c, m and i), RFC 1847, RFC 8551 2.4.2 and 3.5, RFC 9787; E03, E15-E18.
"""

import pytest

from smime_proxy.message.build import multipart_signed_entity
from tests.unit.cms import made
from tests.unit.smime.cases import (
    ALICE,
    PART,
    clear,
    cms,
    compressed,
    delivered,
    enveloped,
    fields,
    key,
    message,
    opaque,
    person,
    signature,
    verdict,
    weakly_signed,
)

EVE = "eve@example.test"
UNSIGNED = b"Content-Type: text/plain\r\n\r\nPay Eve.\r\n"


def eve_signs(part: bytes = PART) -> bytes:
    der = signature(part, person(EVE, label="eve", name="Eve"))
    return multipart_signed_entity(part, der, "sha-256", "=_eve")


def multipart(*parts: bytes, kind: str = "mixed") -> bytes:
    body = b"".join(b"--m\r\n" + part + b"\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary=m\r\n\r\n".encode() + body + b"--m--\r\n"


@pytest.mark.parametrize(
    "sender",
    [
        f"{EVE} <{ALICE}>",
        f"<{ALICE}>, <{EVE}>",
        f"{ALICE}, {EVE}",
        f'"{ALICE}" <{EVE}>',
        f"{ALICE} <{EVE}>",
        f"Alice <{EVE}> <{ALICE}>",
        f"Friends: {ALICE};",
        f"({ALICE}) {EVE}",
        f"=?utf-8?Q?{EVE.replace('@', '=40')}?= <{ALICE}>",
        f"<@{EVE}:{ALICE}>",
        f"{ALICE}\r\nFrom: {EVE}",
        f"{EVE}\r\nFrom: {ALICE}",
        f"{EVE}\r\nSender: {ALICE}",
        f"{EVE}\r\nReply-To: {ALICE}",
        f"{EVE}\r\nResent-From: {ALICE}",
        "",
    ],
)
def test_e03_a_from_that_can_be_read_as_somebody_else_never_passes(sender: str) -> None:
    """E03: alice's good signature, whoever From seems to name; Sender and Reply-To never count."""
    content = message(clear(), sender=sender)
    assert verdict(content).startswith("policy")
    assert fields(content)["X-SMIME-Badge"] == "yellow"


@pytest.mark.parametrize(
    "entity",
    [
        multipart(UNSIGNED, clear()),
        multipart(clear(), UNSIGNED),
        multipart(UNSIGNED, opaque()),
        multipart(clear()),
        multipart(clear(), UNSIGNED, kind="related"),
        multipart(UNSIGNED, clear(), kind="alternative"),
        multipart(
            b'Content-Type: text/html\r\n\r\nPay Eve.<div style="display:none"><img src="cid:1">',
            b"Content-ID: <1>\r\n" + clear(),
            kind="related",
        ),
        b"Content-Type: message/rfc822\r\n\r\n" + message(clear()),
        multipart(multipart(clear()).replace(b"=m", b"=i").replace(b"--m", b"--i")),
    ],
)
def test_e15_a_signature_over_a_part_says_nothing_of_the_mail(entity: bytes) -> None:
    """E15: beside it, hiding it, referring to it, or a list's footer behind it (E63)."""
    content = message(entity)
    assert verdict(content) == "none"
    assert fields(content)["X-SMIME-Badge"] == "none"
    assert delivered(content).endswith(b"\r\n" + content)


@pytest.mark.parametrize(
    "entity",
    [
        clear() + b"Pay Eve.\r\n",
        clear().replace(b"--=_b--", b"--=_b\r\n\r\nPay Eve.\r\n--=_b--"),
        clear().replace(b"--=_b\r\n", b"--=_b\r\n\r\nPay Eve.\r\n--=_b\r\n", 1),
        opaque().replace(b"application/pkcs7-mime", b"text/html; name=smime.p7m"),
        opaque().replace(b"application/pkcs7-mime", b"application/pdf; name=smime.p7m"),
        opaque().replace(b"application/pkcs7-mime", b"application/json; name=smime.p7m"),
        opaque() + b"\r\n<p>Pay Eve.</p>",
        compressed(clear()).replace(b"application/pkcs7-mime", b"text/plain; name=smime.p7z"),
    ],
)
def test_e15_text_around_the_signed_part_never_passes(entity: bytes) -> None:
    """E15, E62: an epilogue, a third part, a first part, a type that is shown as it stands."""
    assert verdict(message(entity)).split(":")[0] in {"neutral", "none", "fail"}


@pytest.mark.parametrize(
    ("at", "hidden"),
    [
        (b"\r\n\r\nThis is", b"\r\n\r\n\r--=_b\rContent-Type: text/plain\r\rPay Eve.\r\nThis is"),
        (b"\r\n\r\nThis is", b"\r\n\r\nx\r\n--=_b\r\r\n\r\nPay Eve.\r\nThis is"),
        (b"\r\n--=_b--", b"\r--=_b\r\rPay Eve.\r\n--=_b--"),
        (b"\r\n--=_b--", b"\r\n--=_b\r\r\n\r\nPay Eve.\r\n--=_b--"),
    ],
)
def test_e15_no_lone_cr_becomes_a_delimiter_of_an_unsigned_part(at: bytes, hidden: bytes) -> None:
    """E15, E07: whoever encrypts alice's mail anew hides parts behind a CR that becomes CRLF."""
    evil = clear().replace(at, hidden, 1)
    for entity in (evil, enveloped(evil), enveloped(compressed(evil))):
        assert verdict(message(entity), key()).startswith("neutral")


def test_e16_a_detached_signature_counts_for_the_part_and_not_for_its_own_content() -> None:
    """E16: CVE-2018-18509; eContent that is the part is what it says, any other is a lie."""
    own = signature(PART, detached=False)
    assert verdict(message(clear(der=own))) == "pass"
    shown = PART.replace(b"Hello Bob", b"Pay Eve.")
    for der in (own, made.signed_data()):
        assert verdict(message(clear(shown, der=der))).startswith(("fail", "neutral"))
    other = signature(b"Content-Type: text/plain\r\n\r\nother\r\n", detached=False)
    assert verdict(message(clear(der=other))).startswith("fail")


@pytest.mark.parametrize("content", [None, PART])
def test_e17_a_signature_nobody_made_never_passes(content: bytes | None) -> None:
    """E17: a SignedData with certificates and without signerInfos."""
    der = made.signed_data(content=content)
    assert not verdict(message(clear(der=der))).startswith("pass")
    assert not verdict(message(cms(der, "signed-data"))).startswith("pass")


def several(*infos: bytes) -> str:
    return verdict(message(clear(der=made.signed_data(*infos))))


def test_e17_of_several_signers_one_bad_spoils_the_whole() -> None:
    """E17: in any order; the worst of them counts."""
    good = made.signer_info([made.CONTENT_TYPE, made.message_digest(PART)])
    broken = made.signer_info([made.CONTENT_TYPE, made.message_digest(b"other")])
    weak = made.signer_info([made.CONTENT_TYPE, made.message_digest(PART, "sha1")], digest="sha1")
    assert several(good, good) == "pass"
    for order in ((good, broken), (broken, good), (good, good, broken)):
        assert several(*order).startswith("fail")
    assert several(good, weak).startswith("policy: weak")
    assert verdict(message(clear(der=weakly_signed("sha1")))).startswith("policy: weak")


def test_e18_a_signature_around_a_ciphertext_is_no_authorship() -> None:
    """E18: anybody can cut it off and sign anew; the inner signature counts."""
    sealed = enveloped(eve_signs())
    assert verdict(message(clear(sealed)), key()).startswith("policy: From alice")
    assert verdict(message(clear(enveloped())), key()).startswith("policy: the signature is only")
    assert verdict(message(opaque(enveloped(clear()))), key()) == "pass"
    unopened = message(clear(enveloped(PART, "bob")))
    assert verdict(unopened, key()) == "policy: the signature is only around a ciphertext"


@pytest.mark.parametrize(
    "entity",
    [
        clear(eve_signs()),
        opaque(eve_signs()),
        eve_signs(clear()),
        eve_signs(opaque()),
        compressed(clear(eve_signs())),
        enveloped(clear(eve_signs())),
        enveloped(eve_signs(clear())),
    ],
)
def test_e18_nested_signatures_of_different_people_never_pass(entity: bytes) -> None:
    """E18: whichever of them is outside."""
    assert verdict(message(entity), key()).startswith("policy: From alice@example.test is not")
    eves = message(entity, sender=EVE)
    assert verdict(eves, key()).startswith("policy: From eve@example.test is not")


def test_v19_triple_wrapped_mail_passes_by_the_inner_signature_alone() -> None:
    """V19, E18, E60: outer ones are only around the ciphertext; a broken one is broken."""
    inner = enveloped(clear())
    assert verdict(message(clear(inner)), key()) == "pass"
    assert verdict(message(eve_signs(inner)), key()) == "pass"
    assert verdict(message(eve_signs(enveloped(eve_signs()))), key()).startswith("policy")
    broken = clear(inner, der=signature(b"other"))
    assert verdict(message(broken), key()).startswith("fail")


def test_e08_forged_results_are_gone_and_a_subject_says_nothing() -> None:
    """E08, E07."""
    more = (
        "X-SMIME-Badge: green\r\nX-SMIME-Signature: pass\r\n"
        "Authentication-Results: Proxy.Example.Test (x) ; smime=pass\r\n"
        "Authentication-Results: other.example; smime=pass\r\n"
    )
    out = delivered(message(multipart(clear()), more=more).replace(b"Hello", b"[signed OK]", 1))
    assert b"green" not in out
    assert out.count(b"smime=pass") == 1
    assert b"other.example; smime=pass" in out


@pytest.mark.parametrize(
    ("subject", "said"), [("Dinner", "pass"), ("[list] Dinner", "pass"), ("Pay Eve", "policy")]
)
def test_a_signed_subject_replaced_on_the_way_is_not_shown_as_signed(
    subject: str, said: str
) -> None:
    """RFC 9788 4.4: the reader sees the outer Subject, and the signer wrote another."""
    part = (
        b'Content-Type: text/plain; hp="clear"\r\n'
        b"From: Alice <alice@example.test>\r\nSubject: Dinner\r\n\r\nHello Bob\r\n"
    )
    content = message(clear(part)).replace(b"Subject: Hello", f"Subject: {subject}".encode())
    assert verdict(content).partition(":")[0] == said
