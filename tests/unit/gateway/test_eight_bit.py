"""8-bit content for servers without 8BITMIME: encoded where it is ours to open, else refused."""

from smime_proxy.gateway.eight_bit import seven_bit
from smime_proxy.message.entity import decode_body
from smime_proxy.message.parse import parse
from smime_proxy.reply import Reply

RECEIVED = b"Received: x\r\n"
TEXT = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n".encode()


def test_seven_bit_content_stays_octet_for_octet() -> None:
    content = (RECEIVED, b"Subject: x\r\n\r\nx\r\n")
    for opened in (False, True):
        assert seven_bit(content, opened=opened) == content


def test_what_may_be_signed_is_refused() -> None:
    refusal = seven_bit((RECEIVED, TEXT), opened=False)
    assert isinstance(refusal, Reply)
    assert (refusal.code, refusal.enhanced) == (554, "5.6.3")


def test_what_was_opened_is_encoded_and_says_the_same() -> None:
    made = seven_bit((RECEIVED, TEXT), opened=True)
    assert not isinstance(made, Reply)
    assert made[0] == RECEIVED
    assert made[1].isascii()
    entity = parse(made[1])
    assert decode_body(entity, 1000) == "grün\r\n".encode()
    assert entity.header.first("subject") == "x"
    assert len(entity.header.find("content-type")) == 1


def test_a_signature_within_is_not_touched() -> None:
    part = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün"
    signed = (
        "Content-Type: multipart/signed; boundary=b\r\n\r\n"
        f"--b\r\n{part}\r\n--b\r\n"
        "Content-Type: application/pkcs7-signature\r\n\r\nAA==\r\n--b--\r\n"
    ).encode()
    made = seven_bit((signed,), opened=True)
    assert not isinstance(made, Reply)
    assert part.encode() in made[0]


def test_what_cannot_be_parsed_is_left_as_it_is() -> None:
    odd = b"X: " + b"\xe4" * 300_000 + b"\r\n\r\nx\r\n"
    assert seven_bit((odd,), opened=True) == (odd,)
