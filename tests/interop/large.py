"""Large mail as others write it: streamed by OpenSSL, and in chunks of any length by a writer here.

RFC 5652 5.2 and 6.1 (content in BER), X.690 8.1.3.6 (indefinite length), 8.7.3 (chunked strings).
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from smime_proxy.cms import ber, der
from smime_proxy.cms.ber import Element
from tests.interop import exchange

SIGNER, READER = "rsa", "bob"
FORMS = {
    "enveloped, CBC": ("-encrypt", "-aes256"),
    "enveloped, GCM": ("-encrypt", "-aes-256-gcm"),
    "signed, opaque": ("-sign", "-nodetach"),
    "signed, clear": ("-sign",),
}

_HEAD = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
_LINE = b"JVBERi0x" * 9 + b"\r\n"
_EXPLICIT_0, _CHUNKED_STRING = 0xA0, 0x24
_ENCRYPTED_CONTENT = 0xA0  # [0] IMPLICIT OCTET STRING, constructed


def entity(octets: int) -> bytes:
    """Give a MIME entity of about so many octets, as an attachment makes it."""
    return _HEAD + _LINE * (octets // len(_LINE))


def streamed(openssl: Path, folder: Path, form: str, content: bytes) -> bytes:
    """Let `openssl cms -stream` write a message in one of `FORMS`, of indefinite lengths."""
    people = {SIGNER: exchange.sender(SIGNER), READER: exchange.reader(READER)}
    for name, person in people.items():
        (folder / f"{name}.pem").write_bytes(person.pem())
        (folder / f"{name}.key").write_bytes(person.key_pem())
    (folder / "issuing.pem").write_bytes(exchange.issuing().pem())
    (folder / "content").write_bytes(content)
    command = [str(openssl), "cms", *FORMS[form], "-stream", "-in", "content", "-out", "message"]
    if "-sign" in FORMS[form]:
        command += ["-signer", f"{SIGNER}.pem", "-inkey", f"{SIGNER}.key"]
        command += ["-certfile", "issuing.pem"]
    else:
        command += [f"{READER}.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    header = exchange.mail(SIGNER, b"", exchange.now()).replace(b"MIME-Version: 1.0\r\n", b"")
    written = (folder / "message").read_bytes()
    return header + written.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")  # as SMTP carries it


def chunked(cms: bytes, octets: int) -> bytes:
    """Write an EnvelopedData, AuthEnvelopedData or SignedData anew, its content in such chunks."""
    content_type, explicit = ber.read_only(cms).children()
    version, first, encapsulated, *behind = explicit.children()[0].children()
    *before, content = encapsulated.children()
    if len(before) == 1:  # eContent; in encryptedContentInfo a cipher stands before it
        content = content.children()[0]
        chunks = _indefinite(
            _EXPLICIT_0, _indefinite(_CHUNKED_STRING, b"".join(_chunks(content, octets)))
        )
    else:
        chunks = _indefinite(_ENCRYPTED_CONTENT, b"".join(_chunks(content, octets)))
    return _indefinite(
        der.SEQUENCE,
        content_type.encoding,
        _indefinite(
            _EXPLICIT_0,
            _indefinite(
                der.SEQUENCE,
                version.encoding,
                first.encoding,
                _indefinite(der.SEQUENCE, *(item.encoding for item in before), chunks),
                *(item.encoding for item in behind),
            ),
        ),
    )


def _indefinite(tag: int, *contents: bytes | memoryview) -> bytes:
    return b"".join((bytes((tag, ber.INDEFINITE)), *contents, b"\0\0"))


def _chunks(content: Element, octets: int) -> Iterator[bytes]:
    whole = b"".join(ber.octets(content))
    full, last = len(whole) - len(whole) % octets, whole[len(whole) - len(whole) % octets :]
    header = der.header(der.OCTET_STRING, octets)
    for at in range(0, full, octets):
        yield header
        yield whole[at : at + octets]
    yield der.element(der.OCTET_STRING, last) if last else b""
