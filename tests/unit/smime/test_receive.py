"""Incoming mail from end to end: the verdict rows of the matrix, and the message as delivered."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from smime_proxy.cms import der, oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.ciphers import CIPHERS
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection
from tests import pki
from tests.fakes import DATE
from tests.unit.cms import made, parties
from tests.unit.smime.cases import (
    ALICE,
    AT,
    BOB,
    PART,
    alice,
    clear,
    cms,
    delivered,
    enveloped,
    fields,
    key,
    message,
    opaque,
    person,
    received,
    signature,
    trust,
    verdict,
    weakly_signed,
)

CEK = bytes(range(32))


@pytest.mark.parametrize("entity", [clear(), opaque(), clear(identity=person(ALICE))])
def test_v2_valid_trusted_and_matching_passes_and_stays_octet_for_octet(entity: bytes) -> None:
    """V2."""
    content = message(entity)
    found = fields(content)
    assert found["Authentication-Results"] == (
        "proxy.example.test;\r\n\tsmime=pass\r\n\tbody.smime-identifier=alice@example.test"
        f"\r\n\tbody.smime-part={2 if b'multipart' in entity else 1}"
    )
    assert found["X-SMIME-Badge"] == "green"
    assert found["X-SMIME-Lock"] == found["X-SMIME-Encryption"] == "none"
    assert delivered(content).endswith(b"\r\n" + content)


@pytest.mark.parametrize(
    "entity",
    [
        clear().replace(b"Hello Bob", b"Hello Eve"),
        clear(der=signature(b"other")),
        clear(der=signature(b"other", detached=False)),  # E16: eContent differs
    ],
)
def test_v3_altered_content_fails(entity: bytes) -> None:
    """V3, E16."""
    content = message(entity)
    assert verdict(content).startswith("fail")
    assert fields(content)["X-SMIME-Badge"] == "red"
    assert delivered(content).endswith(b"\r\n" + content)


THREE_PARTS = clear().replace(b"--=_b--", b"--=_b\r\n\r\nmore\r\n--=_b--")
EPILOGUE = clear() + b"Not signed: pay Eve.\r\n"


@pytest.mark.parametrize(
    "entity",
    [
        clear(der=made.signed_data()),
        clear(der=b"no CMS"),
        THREE_PARTS,
        EPILOGUE,
        EPILOGUE.replace(b"=_b", b"=_\xff"),
        clear().replace(b"boundary=", b"boundry="),
        cms(made.signed_data(content=PART, certificates=()), "signed-data"),
        cms(b"no CMS", "signed-data"),
        # What a reader who goes by another type shows is not what was signed.
        opaque().replace(b"application/pkcs7-mime", b"text/html"),
        b"Content-Type: text/html\r\n" + opaque().replace(b"application/pkcs7-mime", b"x/y.p7m"),
    ],
)
def test_v4_what_cannot_be_judged_is_never_a_pass(entity: bytes) -> None:
    """V4, E17, E62: no signers, unreadable CMS, not two parts, text behind the last delimiter."""
    found = fields(message(entity))
    assert "smime=neutral" in found["Authentication-Results"]
    assert found["X-SMIME-Badge"] == "yellow"


def test_v5_a_signer_without_certificate_is_permerror_unless_the_store_knows_it() -> None:
    """V5, E58."""
    attributes = [made.CONTENT_TYPE, made.message_digest(PART)]
    content = message(clear(der=made.signed_data(made.signer_info(attributes), certificates=())))
    assert verdict(content) == "permerror: no certificate"
    assert fields(content)["X-SMIME-Badge"] == "yellow"
    assert verdict(content, trusting=trust(known=[alice().der])) == "pass"


def test_v6_an_unknown_chain_is_policy_however_well_the_subject_is_cloned() -> None:
    """V6, E04."""
    stranger = pki.root("Stranger", kind="p256")
    assert verdict(message(clear()), trusting=trust(stranger)).startswith("policy")
    subject = alice().certificate.x509().subject
    clone = pki.person(None, ALICE, subject=subject, kind="p256", label="clone")
    content = message(clear(identity=clone))
    assert verdict(content) == "policy: a self-signed certificate that is not trusted"
    assert "chain=untrusted" in fields(content)["X-SMIME-Signature"]


def test_e06_an_extra_bundled_certificate_lends_no_identity() -> None:
    """E06: mallory signs, and alice's certificate lies beside his."""
    mallory = person("mallory@example.test")
    attributes = [made.CONTENT_TYPE, made.message_digest(PART)]
    bag = (alice().der, parties.party("rsa", "bob").der, mallory.der)
    bob = read_certificate(parties.party("rsa", "bob").der).issuer_and_serial
    info = made.signer_info(attributes, sid=bob, key=parties.party("rsa", "bob").key)
    content = message(clear(der=made.signed_data(info, certificates=bag)))
    assert verdict(content) == "policy: From alice@example.test is not in the certificate"
    assert "signer=bob@example.test" in fields(content)["X-SMIME-Signature"]


def test_v7_expired_and_not_yet_valid_are_policy() -> None:
    """V7, E80."""
    old = person(ALICE, not_after=datetime(2021, 1, 1, tzinfo=UTC))
    new = person(ALICE, not_before=datetime(2030, 1, 1, tzinfo=UTC))
    assert "expired on 2021-01-01" in verdict(message(clear(identity=old)))
    assert "chain=expired" in fields(message(clear(identity=old)))["X-SMIME-Signature"]
    assert "valid from 2030-01-01" in verdict(message(clear(identity=new)))
    assert "chain=not-yet-valid" in fields(message(clear(identity=new)))["X-SMIME-Signature"]


@pytest.mark.parametrize(
    "sender",
    [
        "manager@example.test",
        f"{ALICE} <manager@example.test>",
        f'"manager@example.test" <{ALICE}>',
        f"{ALICE}, manager@example.test",
        f"{ALICE}\r\nFrom: manager@example.test",
        "",
    ],
)
def test_v10_another_or_an_unclean_from_is_policy(sender: str) -> None:
    """V10, E03: two From fields, an address in the display name, two mailboxes, none."""
    found = fields(message(clear(), sender=sender))
    assert "smime=policy" in found["Authentication-Results"]
    assert "body.smime-identifier=alice@example.test" in found["Authentication-Results"]
    assert "identity=mismatch" in found["X-SMIME-Signature"]
    assert found["X-SMIME-Badge"] == "yellow"


def test_v11_a_certificate_without_an_address_is_policy() -> None:
    """V11, E78."""
    content = message(clear(identity=person(dn_address="", name="Nobody")))
    assert verdict(content) == "policy: no mailbox to compare"
    assert "identity=none" in fields(content)["X-SMIME-Signature"]
    assert "signer=unknown" in fields(content)["X-SMIME-Signature"]


def test_v12_weak_digests_keys_and_wrong_usage_are_policy_and_md5_fails() -> None:
    """V12, E79."""
    assert verdict(message(clear(der=weakly_signed("sha1")))).startswith("policy: weak")
    assert verdict(message(clear(der=weakly_signed("md5")))) == "fail: weak digest md5"
    only_encrypts = person(ALICE, usage=("key_agreement",))
    assert verdict(message(clear(identity=only_encrypts))).startswith("policy: the certificate may")
    badly_issued = person(ALICE, weak_digest="sha1")
    assert verdict(message(clear(identity=badly_issued))).startswith("policy")


@pytest.mark.parametrize("apart", [timedelta(hours=2), timedelta(hours=-2), timedelta(days=400)])
def test_v13_a_signing_time_far_from_date_or_in_the_future_is_policy(apart: timedelta) -> None:
    """V13, E19."""
    assert verdict(message(clear(at=AT + apart))).startswith("policy: sign")


def test_v13_without_both_times_there_is_nothing_to_compare() -> None:
    """E19: only where both times are there."""
    assert verdict(message(clear(at=None))) == "pass"
    undated = message(clear(at=AT - timedelta(days=3))).replace(b"Date: ", b"X-Date: ")
    assert verdict(undated) == "pass"


def test_v14_several_signers_must_all_be_good() -> None:
    """V14, E17."""
    attributes = [made.CONTENT_TYPE, made.message_digest(PART)]
    good = made.signer_info(attributes)
    bad = made.signer_info([made.CONTENT_TYPE, made.message_digest(b"other")])
    bob = parties.party("rsa", "bob")
    other = made.signer_info(
        attributes, sid=read_certificate(bob.der).issuer_and_serial, key=bob.key
    )
    assert verdict(message(clear(der=made.signed_data(good, good)))) == "pass"
    assert verdict(message(clear(der=made.signed_data(good, bad)))).startswith("fail")
    bag = (alice().der, bob.der)
    both = made.signed_data(good, other, certificates=bag)
    assert verdict(message(clear(der=both))).startswith("policy: From alice")


def mixed(*parts: bytes) -> bytes:
    body = b"".join(b"--m\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/mixed; boundary=m\r\n\r\n" + body + b"--m--\r\n"


def test_v15_a_signed_part_beside_unsigned_text_says_nothing_of_the_mail() -> None:
    """V15, E15, E63."""
    content = message(mixed(b"\r\nPay Eve.\r\n", clear()))
    found = fields(content)
    assert found["Authentication-Results"] == "proxy.example.test; smime=none"
    assert {found["X-SMIME-Badge"], found["X-SMIME-Signature"]} == {"none"}
    assert delivered(content).endswith(b"\r\n" + content)


def test_v16_a_message_that_decrypts_is_delivered_readable_private_and_unauthenticated() -> None:
    """V16, E11."""
    content = message(enveloped(), more="Sensitivity: Personal\r\n")
    found = fields(content, key())
    assert found["X-SMIME-Encryption"] == "decrypted; algorithm=aes256_cbc; authenticated=no"
    assert (found["X-SMIME-Lock"], found["X-SMIME-Signature"]) == ("green", "none")
    out = delivered(content, key())
    assert out.endswith(b"Content-Type: text/plain\r\n\r\nHello Bob\r\n")
    assert out.count(b"Sensitivity: Private\r\n") == 1
    assert b"Personal" not in out
    assert out.count(b"MIME-Version") == out.count(b"Content-Type") == 1
    assert b"Content-Disposition" not in out


def test_v17_a_signature_inside_is_judged_and_kept_for_clients() -> None:
    """V17."""
    content = message(enveloped(clear()))
    assert verdict(content, key()) == "pass"
    assert delivered(content, key()).endswith(clear())
    altered = message(enveloped(clear().replace(b"Hello Bob", b"Hello Eve")))
    assert verdict(altered, key()).startswith("fail")


@pytest.mark.parametrize("around", [clear, opaque])
def test_v18_a_signature_only_around_a_ciphertext_is_policy(around: object) -> None:
    """V18, E18."""
    assert callable(around)
    content = message(around(enveloped()))
    found = fields(content, key())
    assert "smime=policy" in found["Authentication-Results"]
    assert "only around a ciphertext" in found["Authentication-Results"]
    assert found["X-SMIME-Encryption"].startswith("decrypted")
    assert delivered(content, key()).endswith(PART)


def test_v19_triple_wrapped_mail_has_the_inner_result() -> None:
    """V19, E60: but a broken signature anywhere is broken, the first row of the table that fits."""
    triple = clear(enveloped(clear()))
    assert verdict(message(triple), key()) == "pass"
    damaged = clear(enveloped(clear()), der=signature(b"other"))
    assert verdict(message(damaged), key()).startswith("fail")


def undecryptable() -> dict[str, bytes]:
    """Give one message a cause: no key, wrong key, wrong padding, wrong length, no MIME."""
    content = made.encrypted_content(PART, CEK)
    other = parties.party("rsa", "bob").key
    assert isinstance(other, rsa.RSAPrivateKey)
    wrong = other.public_key().encrypt(CEK, padding.PKCS1v15())
    plain = made.encrypted_content(b"x" * 32, CEK, padded=False)
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(60)
    )
    infos = {
        "no key": (
            made.ktri(
                CEK,
                rid=read_certificate(parties.party("rsa", "bob").der).issuer_and_serial,
                name="bob",
            ),
            content,
        ),
        "wrong key": (made.ktri(CEK, encrypted=wrong), content),
        "garbage for a key": (made.ktri(CEK, encrypted=b"\1" * 256), content),
        "short key": (made.ktri(CEK[:5]), content),
        "wrong padding": (made.ktri(CEK), plain),
        "no MIME": (made.ktri(CEK), made.encrypted_content(deep, CEK)),
        "noise": (made.ktri(CEK), made.encrypted_content(bytes(range(200)) * 3, CEK)),
    }
    return {
        cause: message(cms(made.enveloped_data(info, encrypted=encrypted)))
        for cause, (info, encrypted) in infos.items()
    }


@pytest.mark.parametrize("cause", list(undecryptable()))
def test_v20_v21_what_cannot_be_decrypted_stays_as_it_came_whatever_the_cause(cause: str) -> None:
    """V20, V21, E12, E14, I16: the same fields, the same octets, nobody learns which it was."""
    content = undecryptable()[cause]
    out = delivered(content, key())
    assert out == (
        b"Authentication-Results: proxy.example.test;\r\n\tsmime=none\r\n"
        b"X-SMIME-Signature: none\r\n"
        b"X-SMIME-Encryption: undecryptable; algorithm=aes256_cbc; authenticated=no\r\n"
        b"X-SMIME-Badge: none\r\nX-SMIME-Lock: red\r\n" + content
    )


def test_v21_a_truncated_ciphertext_stays_as_it_came() -> None:
    """V21."""
    info, whole = made.ktri(CEK), made.encrypted_content(PART, CEK)
    ciphertext = whole[-48:]
    for cut in (0, 15, 16, 31, 47):
        shorter = der.element(
            der.SEQUENCE, whole[2 : -len(ciphertext) - 2], der.element(0x80, ciphertext[:cut])
        )
        content = message(cms(made.enveloped_data(info, encrypted=shorter)))
        assert delivered(content, key()).endswith(b"X-SMIME-Lock: red\r\n" + content)


def test_v22_authenticated_encryption_is_not_opened_without_its_tag_being_checked() -> None:
    """V22."""
    encrypted = made.encrypted_content(PART, CEK)
    der_octets = made.enveloped_data(
        made.ktri(CEK), encrypted=encrypted, content_type=oids.AUTH_ENVELOPED_DATA
    )
    content = message(cms(der_octets, "authEnveloped-data".lower()))
    assert fields(content, key())["X-SMIME-Encryption"].startswith("undecryptable")
    assert delivered(content, key()).endswith(content)


@pytest.mark.parametrize("kind", ["mixed", "related", "alternative"])
def test_v23_an_encrypted_part_that_is_not_the_whole_body_is_never_opened(kind: str) -> None:
    """V23, E10, A09."""
    part = mixed(b"\r\nSee below\r\n", enveloped(b"Content-Type: text/plain\r\n\r\ncanary\r\n"))
    content = message(part.replace(b"multipart/mixed", b"multipart/" + kind.encode()))
    out = delivered(content, key())
    assert out.endswith(b"\r\n" + content)
    assert b"canary" not in out
    assert b"X-SMIME-Encryption: none\r\n" in out
    (layer,) = received(content, key()).report.layers
    assert (layer.partial, layer.decrypted) == (True, False)


def test_v24_a_weak_cipher_makes_a_yellow_lock() -> None:
    """V24."""
    cipher = next(row for row in CIPHERS.values() if row.name == "tripledes_3key")
    encrypted = made.encrypted_content(PART, CEK[:24], cipher)
    content = message(cms(made.enveloped_data(made.ktri(CEK[:24]), encrypted=encrypted)))
    found = fields(content, key())
    assert found["X-SMIME-Encryption"] == "decrypted; algorithm=tripledes_3key; authenticated=no"
    assert found["X-SMIME-Lock"] == "yellow"


def test_v29_an_attached_message_is_left_alone() -> None:
    """V29, E61."""
    attached = b"Content-Type: message/rfc822\r\n\r\n"
    for inner in (message(clear()), message(enveloped())):
        for content in (message(attached + inner), message(mixed(b"\r\nhi\r\n", attached + inner))):
            assert set(fields(content, key()).values()) == {
                "none",
                "proxy.example.test; smime=none",
            }
            assert delivered(content, key()).endswith(b"\r\n" + content)


def test_v30_certificates_alone_are_no_signature() -> None:
    """V30, E64."""
    content = message(cms(made.signed_data(), "certs-only"))
    assert received(content).report.layers[0].protection is Protection.CERTS_ONLY
    assert verdict(content) == "none"


def test_e07_of_the_inner_header_only_content_fields_come_out() -> None:
    """E07: an encrypted From, result or Bcc field is not promoted."""
    inner = (
        b"From: ceo@example.test\r\nAuthentication-Results: proxy.example.test; smime=pass\r\n"
        b"X-SMIME-Badge: green\r\nBcc: eve@example.test\r\nSubject: inner\r\nReceived: x\r\n"
        b"Content-Class: urn:x\r\n" + PART
    )
    out = delivered(message(enveloped(inner)), key())
    header = parse(out).header
    assert [item.value for item in header.find("from")] == [f"Alice <{ALICE}>"]
    assert not header.find("bcc")
    assert not header.find("received")
    assert header.first("subject") == "Hello"
    assert header.first("content-class") == "urn:x"
    assert len(header.find("authentication-results")) == 1
    assert [item.value for item in header.find("x-smime-badge")] == ["none"]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (b"Just text\r\n", b"Content-Type: text/plain\r\n\r\nJust text\r\n"),
        (b"\nText\n", b"Content-Type: text/plain\r\n\r\nText\r\n"),
        (b"One,\n\nTwo\n", b"Content-Type: text/plain\r\n\r\nOne,\r\n\r\nTwo\r\n"),
        (b"Note: one\n\nTwo\n", b"Content-Type: text/plain\r\n\r\nNote: one\r\n\r\nTwo\r\n"),
        (b"", b"Content-Type: text/plain\r\n\r\n"),
        (b"Content-Type: text/html\n\n<p>\n", b"Content-Type: text/html\r\n\r\n<p>\r\n"),
        (b"Content-Type: text/html", b"Content-Type: text/html\r\n\r\n"),
        (b"Subject: s\n\nText\n", b"Content-Type: text/plain\r\n\r\nText\r\n"),
        (
            b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\nx",
            b"Content-Type: text/html\r\n\r\nx",
        ),
        (
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\r\n\n\r",
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAA0KCg0=\r\n",
        ),
    ],
)
def test_e65_no_text_is_lost_and_no_header_doubled(inner: bytes, expected: bytes) -> None:
    """E65: headers missing, LF, only an empty line, doubled, binary."""
    out = delivered(message(enveloped(inner)), key())
    assert out.partition(b"MIME-Version: 1.0\r\n")[2] == expected


def test_mail_for_two_names_one_recipient_only_by_his_own_key() -> None:
    """I6."""
    content = message(enveloped(PART, "alice", "bob"))
    assert delivered(content, key("bob")).endswith(PART)
    assert fields(content)["X-SMIME-Encryption"].startswith("undecryptable")
    assert BOB.encode() in content
    assert DATE.encode() in content


@pytest.mark.parametrize("encoding", ["7bit", "binary"])
def test_e07_a_bare_cr_makes_no_field_of_ours_out_of_an_inner_one(encoding: str) -> None:
    """E07: line ends are mended on the way out, and must not divide a field."""
    forged = "X-SMIME-Badge: green\rAuthentication-Results: proxy.example.test; smime=pass"
    inner = f"Content-Type: text/plain\r{forged}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    out = delivered(message(enveloped(f"{inner}\r\nhi\r\n".encode())), key())
    assert out.count(b"X-SMIME-Badge: none\r\n") == 1
    assert b"green\r" not in out.replace(b"X-SMIME-Lock: green", b"")
    assert b"smime=pass" not in out
    assert b"Content-Type: text/plain\r\n" in out


def test_e07_a_bare_cr_in_a_part_never_keeps_decrypted_mail_from_being_sent() -> None:
    """E07: nothing with a bare CR or LF can be sent on."""
    inner = (
        b"Content-Type: multipart/mixed; boundary=p\r\n\r\na\rb\n--p\r\nX: a\rb\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\nx\ry\n\r\n--p--\r\n"
    )
    out = delivered(message(enveloped(inner)), key())
    assert out.count(b"\r") == out.count(b"\n") == out.count(b"\r\n")


def test_e08_a_first_line_without_a_field_continues_none_of_ours() -> None:
    """E08."""
    for entity, keys in ((clear(), ()), (enveloped(), (key(),))):
        out = delivered(b" green; forged\r\n" + message(entity), *keys)
        assert b"forged" not in out
        assert b"\r\nFrom: Alice" in out


@pytest.mark.parametrize(
    "line",
    [b"garbage\r\n", b"From\0: eve@x.org\r\n", b"\0From: eve@x.org\r\n", b"From\xa0: e@x.org\r\n"],
)
def test_e03_a_header_readers_disagree_about_names_nobody(line: bytes) -> None:
    """E03: some end the header at such a line, some see another From."""
    assert verdict(line + message(clear())) == "policy: a line of the header is no field"
    assert verdict(b"From alice Mon Jun  1 12:00:00 2026\r\n" + message(clear())) == "pass"
