"""The forms of messages beside their algorithms: how signers and readers are named, layers, ends.

RFC 8551 3.7 (layers), RFC 5652 5.3 and 6.2 (names by key identifier), RFC 3274, X.690 8.1.3.6
(indefinite lengths).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.interop import exchange, here
from tests.interop.algorithms import Encryption, Recipient, Signature
from tests.interop.exchange import LARGE, TEXT
from tests.interop.here import NotOurs
from tests.interop.peer import Peer

_RSA = (Recipient("rsa"),)
_P256 = (Recipient("p256", "ecdh", "sha256", wrap="aes256"),)
_RSA_READERS = tuple(Recipient(kind) for kind in ("rsa", "rsa3072", "rsa4096"))
_ALL_READERS = (
    *_RSA_READERS,
    *(
        Recipient(kind, "ecdh", here.AGREEMENTS[kind], wrap="aes256")
        for kind in ("p256", "p384", "p521", "brainpool")
    ),
)


@dataclass(frozen=True, slots=True)
class Form:
    """One form: `theirs` has the peer write and asserts, `ours` the other way round."""

    label: str
    theirs: Callable[[Peer], None]
    ours: Callable[[Peer], None]


def _not_written(reason: str) -> Callable[[Peer], None]:
    def decline(_peer: Peer) -> None:
        raise NotOurs(reason)

    return decline


def _signed(
    words: Sequence[str], content: bytes = TEXT, kind: str = "rsa", *, opaque: bool
) -> Callable[[Peer], None]:
    def theirs(peer: Peer) -> None:
        how = Signature(kind, "sha256", opaque)
        here.verify(how, peer.sign(how, content, words), content)

    return theirs


def _verified(content: bytes, *, opaque: bool) -> Callable[[Peer], None]:
    def ours(peer: Peer) -> None:
        how = Signature("rsa", "sha256", opaque)
        peer.verify(here.signed(how, content), None if opaque else content)

    return ours


def _line_ends(peer: Peer) -> None:
    """E49: what mailboxes and gateways make of CRLF."""
    der = peer.sign(Signature("rsa", "sha256"), TEXT)
    message = exchange.clear_signed("rsa", TEXT, der).replace(b"\r\n", b"\n")
    assert exchange.received(message).report.signature == "pass"


def _sealed(
    readers: Sequence[Recipient], words: Sequence[str] = (), content: bytes = TEXT
) -> Callable[[Peer], None]:
    def theirs(peer: Peer) -> None:
        how = Encryption(tuple(readers))
        here.open_all(how, peer.encrypt(how, content, words), content)

    return theirs


def _unsealed(readers: Sequence[Recipient], content: bytes = TEXT) -> Callable[[Peer], None]:
    def ours(peer: Peer) -> None:
        they_open(Encryption(tuple(readers)), peer, content)

    return ours


def they_open(how: Encryption, peer: Peer, content: bytes) -> None:
    """Encrypt as the gateway does; assert that the peer decrypts for every reader."""
    der = here.encrypted(how, content)
    for reader in how.readers:
        found = peer.decrypt(der, reader.kind)
        assert found == content, f"another text for {reader.kind}"


def _layered(*, opaque: bool, around: bool = False) -> Callable[[Peer], None]:
    def theirs(peer: Peer) -> None:
        how = Signature("rsa", "sha256", opaque)
        inner = _entity(how, peer.sign(how, TEXT))
        sealed = peer.encrypt(Encryption(_RSA), inner)
        message = exchange.opaque("rsa", sealed, "enveloped-data")
        if around:
            outer = Signature("rsa", "sha256", opaque=True)
            whole = exchange.opaque("rsa", sealed, "enveloped-data").split(
                b"MIME-Version: 1.0\r\n"
            )[1]
            message = exchange.opaque("rsa", peer.sign(outer, whole))
        report = here.received(message, "rsa").report
        assert (report.signature, report.encryption) == ("pass", "decrypted"), report.reason
        assert len(report.layers) == (3 if around else 2)

    return theirs


def _unlayered(*, opaque: bool) -> Callable[[Peer], None]:
    def ours(peer: Peer) -> None:
        how = Signature("rsa", "sha256", opaque)
        inner = _entity(how, here.signed(how, TEXT))
        found = peer.decrypt(here.encrypted(Encryption(_RSA), inner), "rsa")
        assert found == inner, "another text"
        if opaque:
            peer.verify(exchange.cms_of(found), None)
        else:
            part, der = exchange.split_signed(found)
            assert part == TEXT
            peer.verify(der, part)

    return ours


def _entity(how: Signature, der: bytes) -> bytes:
    """Give the MIME entity of a signature alone, without the header of a message."""
    message = exchange.opaque("rsa", der) if how.opaque else exchange.clear_signed("rsa", TEXT, der)
    return message.split(b"MIME-Version: 1.0\r\n", 1)[1]


def _loose_content(peer: Peer) -> None:
    """E07: LF inside the ciphertext is delivered as CRLF."""
    sealed = peer.encrypt(Encryption(_RSA), TEXT.replace(b"\r\n", b"\n"))
    message = exchange.opaque("rsa", sealed, "enveloped-data")
    found = here.received(message, "rsa")
    assert found.report.encryption == "decrypted"
    delivered = found.message(found.entity.header, ())
    assert delivered.endswith(b"\r\n\r\nFor your eyes only.\r\n"), delivered[-80:]


def _compressed(*, sealed: bool) -> Callable[[Peer], None]:
    def theirs(peer: Peer) -> None:
        der = peer.compress(TEXT)
        message = exchange.opaque("rsa", der, "compressed-data")
        if sealed:
            inner = message.split(b"MIME-Version: 1.0\r\n", 1)[1]
            message = exchange.opaque(
                "rsa", peer.encrypt(Encryption(_RSA), inner), "enveloped-data"
            )
        found = here.received(message, "rsa")
        assert found.opened.content == TEXT, [layer.problem for layer in found.report.layers]

    return theirs


FORMS = (
    Form("Clear-signed, LF on the way", _line_ends, _not_written("a bare object has no line ends")),
    Form("Clear-signed, 128 KB", _signed((), LARGE, opaque=False), _verified(LARGE, opaque=False)),
    Form("Opaque-signed, 128 KB", _signed((), LARGE, opaque=True), _verified(LARGE, opaque=True)),
    Form(
        "Opaque-signed, indefinite lengths, 128 KB",
        _signed(("stream",), LARGE, opaque=True),
        _not_written("definite lengths are written"),
    ),
    Form(
        "Signer by key identifier, RSA",
        _signed(("keyid",), opaque=True),
        _not_written("signers are named by issuer and serial number"),
    ),
    Form(
        "Signer by key identifier, P-256",
        _signed(("keyid",), kind="p256", opaque=False),
        _not_written("signers are named by issuer and serial number"),
    ),
    Form(
        "Signed without attributes",
        _signed(("direct",), opaque=False),
        _not_written("attributes are always written"),
    ),
    Form("Clear-signed, then encrypted", _layered(opaque=False), _unlayered(opaque=False)),
    Form("Opaque-signed, then encrypted", _layered(opaque=True), _unlayered(opaque=True)),
    Form(
        "Triple wrapped",
        _layered(opaque=False, around=True),
        _not_written("nothing is signed around a ciphertext"),
    ),
    Form("Encrypted, 128 KB", _sealed(_RSA, (), LARGE), _unsealed(_RSA, LARGE)),
    Form(
        "Encrypted, indefinite lengths, 128 KB",
        _sealed(_RSA, ("stream",), LARGE),
        _not_written("definite lengths are written"),
    ),
    Form("Encrypted, LF inside", _loose_content, _not_written("CRLF is written")),
    Form(
        "RSA recipient by key identifier",
        _sealed(_RSA, ("keyid",)),
        _not_written("recipients are named by issuer and serial number"),
    ),
    Form(
        "P-256 recipient by key identifier",
        _sealed(_P256, ("keyid",)),
        _not_written("recipients are named by issuer and serial number"),
    ),
    Form("RSA-2048, -3072 and -4096 together", _sealed(_RSA_READERS), _unsealed(_RSA_READERS)),
    Form(
        "RSA-2048 to -4096, P-256 to -521, brainpool together",
        _sealed(_ALL_READERS),
        _unsealed(_ALL_READERS),
    ),
    Form("Compressed", _compressed(sealed=False), _not_written("nothing is compressed")),
    Form(
        "Compressed, then encrypted",
        _compressed(sealed=True),
        _not_written("nothing is compressed"),
    ),
)
