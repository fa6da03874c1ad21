"""The walk through the layers of a message: what is opened, what is noted, where it ends."""

import pytest

from smime_proxy.cms import oids
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import MAX_COMPRESSED, MAX_LAYERS, Protection
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.layers import TOO_MANY_LAYERS, Opened, open_layers
from smime_proxy.smime.receive import claim_of
from tests.fakes import Octets
from tests.unit.cms import made, parties
from tests.unit.smime.cases import (
    AT,
    PART,
    clear,
    cms,
    compressed,
    enveloped,
    key,
    message,
    opaque,
    signature,
    trust,
)

COMPRESSED = Protection.COMPRESSED_DATA
CLEAR, SIGNED, SEALED = Protection.CLEAR_SIGNED, Protection.SIGNED_DATA, Protection.ENVELOPED_DATA


def walk(entity: bytes, *names: str) -> Opened:
    top = parse(message(entity))
    keys = [key(name) for name in names]
    return open_layers(top, keys, trust(), claim_of(top.header), AT)


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (PART, []),
        (clear(), [CLEAR]),
        (enveloped(clear()), [SEALED, CLEAR]),
        (enveloped(opaque(clear())), [SEALED, SIGNED, CLEAR]),
        (clear(enveloped(opaque())), [CLEAR, SEALED, SIGNED]),
        (enveloped(enveloped()), [SEALED, SEALED]),
    ],
)
def test_e60_layers_are_listed_from_outside_in(entity: bytes, expected: list[Protection]) -> None:
    """E60."""
    opened = walk(entity, "alice")
    assert [layer.protection for layer in opened.layers] == expected
    assert bytes(opened.innermost).endswith(PART)
    assert not any(layer.problem for layer in opened.layers)


def test_only_what_was_decrypted_replaces_the_body() -> None:
    assert walk(clear()).payload is None
    payload = walk(clear(enveloped(opaque())), "alice").payload
    assert payload is not None
    assert bytes(payload) == opaque()


def test_the_content_is_what_the_innermost_layer_held() -> None:
    assert walk(PART).content is None
    assert walk(enveloped()).content is None
    assert walk(opaque(), "alice").content == PART
    assert walk(enveloped(clear()), "alice").content == PART


def test_a_key_that_is_not_named_is_not_tried() -> None:
    """E14: no trial decryption."""
    (layer,) = walk(enveloped(PART, "bob"), "alice").layers
    assert (layer.decrypted, layer.enveloped is not None) == (False, True)


def test_e60_the_walk_ends_at_the_depth_limit_and_what_is_below_never_passes() -> None:
    """E60, E91: eight layers; the ninth is not looked at, so nobody says it is good."""
    entity = PART
    for _ in range(MAX_LAYERS):
        entity = opaque(entity)
    opened = walk(entity)
    assert [layer.protection for layer in opened.layers] == [SIGNED] * MAX_LAYERS
    assert opened.complete
    opened = walk(opaque(entity))
    assert len(opened.inside) == MAX_LAYERS
    assert not opened.complete
    last = opened.layers[-1]
    assert (last.protection, last.problem) == (Protection.MALFORMED, TOO_MANY_LAYERS)


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (compressed(PART), [COMPRESSED]),
        (compressed(clear()), [COMPRESSED, CLEAR]),
        (clear(compressed(PART)), [CLEAR, COMPRESSED]),
        (opaque(compressed(PART)), [SIGNED, COMPRESSED]),
        (enveloped(compressed(opaque())), [SEALED, COMPRESSED, SIGNED]),
        (compressed(enveloped(clear())), [COMPRESSED, SEALED, CLEAR]),
    ],
)
def test_e60_compressed_content_is_walked_through(
    entity: bytes, expected: list[Protection]
) -> None:
    """E60: inside or around the other layers (RFC 8551 3.6)."""
    opened = walk(entity, "alice")
    assert [layer.protection for layer in opened.layers] == expected
    assert bytes(opened.innermost) == PART
    assert all(signer.result == "pass" for layer in opened.layers for signer in layer.signers)


def test_e91_compressed_content_past_a_cap_or_nested_often_stays_closed() -> None:
    """E91."""
    bomb = PART + bytes(2_000_000)
    (layer,) = walk(compressed(bomb)).layers
    assert layer.problem == "compressed content is too large"
    entity = PART
    for _ in range(MAX_COMPRESSED):
        entity = compressed(entity)
    assert not any(layer.problem for layer in walk(entity).layers)
    opened = walk(compressed(entity))
    assert len(opened.inside) == MAX_COMPRESSED
    assert opened.layers[-1].problem == TOO_MANY_LAYERS


def test_e49_line_ends_in_store_do_not_change_the_verdict() -> None:
    """E49: signed with CRLF and stored with LF, or signed as it is."""
    stored = message(clear()).replace(b"\r\n", b"\n")
    top = parse(stored)
    (layer,) = open_layers(top, (), trust(), claim_of(top.header), AT).layers
    assert layer.signers[0].result == "pass"
    mixed = b"Content-Type: text/plain\r\n\r\nold\nmixed\r\n"
    (layer,) = walk(clear(mixed)).layers
    assert layer.signers[0].result == "pass"


@pytest.mark.parametrize("entity", [clear(der=b"rubbish"), clear(der=signature()[:-40])])
def test_what_cannot_be_read_is_noted_and_raises_nothing(entity: bytes) -> None:
    """M6."""
    (layer,) = walk(entity).layers
    assert layer.problem
    assert layer.signers == ()


def test_opaque_content_that_is_too_complex_is_noted() -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (number, number)
        for number in range(60)
    )
    (layer,) = walk(opaque(deep)).layers
    assert "deep" in layer.problem


@pytest.mark.parametrize(
    ("oid", "said"), [(oids.DATA, "type data"), (oids.AUTHENTICATED_DATA, "authenticated-data")]
)
def test_cms_that_is_no_smime_layer_is_named(oid: str, said: str) -> None:
    (layer,) = walk(cms(made.wrap(oid))).layers
    assert layer.protection is Protection.MALFORMED
    assert said in layer.problem


def test_ciphertext_below_a_multipart_is_noted_and_never_opened() -> None:
    """E10: also when it lies inside a signature or an encryption."""
    inner = (
        b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + enveloped() + b"\r\n--m--\r\n"
    )
    for entity, above in ((inner, 0), (clear(inner), 1), (enveloped(inner), 1)):
        layers = walk(entity, "alice").layers
        assert len(layers) == above + 1
        assert (layers[-1].partial, layers[-1].decrypted) == (True, False)


def test_noise_is_told_from_text_in_any_charset() -> None:
    """E14: a wrong key whose padding fits by chance must not replace the ciphertext."""
    cek = bytes(32)
    noise = bytes((17 * number + 3) % 256 for number in range(64))
    texts = [
        b"plain",
        "Grüße\n".encode(),
        "Grüße".encode("latin-1"),
        b"\x1b$B%O\x1b(B",
        b"",
        b"\f\t",
    ]
    for content, decrypted in [(noise, False), *((text, True) for text in texts)]:
        sealed = made.enveloped_data(made.ktri(cek), encrypted=made.encrypted_content(content, cek))
        (layer,) = walk(cms(sealed), "alice").layers
        assert layer.decrypted is decrypted, content


def test_what_a_tag_verifies_is_never_taken_for_noise() -> None:
    """No wrong key gets past the tag, so content that looks like noise is what was sent."""
    content = bytes(range(256))
    alice = [parties.recipient("alice")]
    for cipher, decrypted in (("aes256_gcm", True), ("aes256_cbc", False)):
        sealed = encrypt_entity(content, alice, content_encryption=cipher, random=Octets())
        opened = walk(sealed, "alice")
        assert opened.layers[0].decrypted is decrypted, cipher
        assert opened.content == (content if decrypted else None)
