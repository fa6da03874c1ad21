"""Messages around what was signed or encrypted, written as octets in the one form clients know.

RFC 8551 3.3 and 3.5.3 (application/pkcs7-mime, multipart/signed), RFC 1847 2.1 (the signed part).
"""

from collections.abc import Iterable
from io import BytesIO

from smime_proxy.message.errors import FieldError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.transfer_encoding import Octets, base64_lines, encode_base64

BOUNDARY_OCTETS = 16  # of randomness: no part contains it by chance or by design
_FILE_NAMES = {"certs-only": "smime.p7c", "compressed-data": "smime.p7z"}  # RFC 8551 3.2.1
_PREAMBLE = b"This is a cryptographically signed message in MIME format.\r\n"
_SIGNATURE_HEADER = (
    b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n'
    b"Content-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: attachment; filename="smime.p7s"\r\n'
    b"Content-Description: S/MIME Cryptographic Signature\r\n\r\n"
)
_TOKEN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_TYPE_CHARACTERS = _TOKEN_CHARACTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BOUNDARY_CHARACTERS = _TYPE_CHARACTERS | frozenset("_=.")
_MAX_BOUNDARY = 70  # RFC 2046 5.1.1


def new_boundary(random: bytes) -> str:
    """Make a boundary of 16 random octets; `=_` occurs in no encoded body (RFC 2046 5.1)."""
    if len(random) < BOUNDARY_OCTETS:
        raise ValueError("a boundary needs 16 random octets")
    return "=_smime_" + random[:BOUNDARY_OCTETS].hex()


def multipart_signed(
    header: HeaderBlock, part: bytes, signature: bytes, micalg: str, boundary: str
) -> bytes:
    """Give a clear-signed message: the outer header in its order, then `multipart_signed_entity`.

    `part` is the octets the signature was made over, `signature` detached SignedData in DER,
    `header` without Content-* fields; MIME-Version is added when missing.
    """
    return with_entity(header, multipart_signed_entity(part, signature, micalg, boundary))


def multipart_signed_entity(part: bytes, signature: bytes, micalg: str, boundary: str) -> bytes:
    """Give the multipart/signed entity alone, as it goes inside an encryption (RFC 8551 3.5.3).

    `micalg` is the digest's name of RFC 8551 3.5.3.2 (`sha-256`). Raises `FieldError` when it or
    the boundary holds a character that does not belong there.
    """
    if not _TOKEN_CHARACTERS.issuperset(micalg):
        raise FieldError("the micalg is not valid")
    if not _BOUNDARY_CHARACTERS.issuperset(boundary) or not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise FieldError("the boundary is not valid")
    delimiter = b"--" + boundary.encode("ascii")
    fields = (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        f'\tmicalg={micalg}; boundary="{boundary}"\r\n\r\n'
    )
    return b"".join(
        (
            fields.encode("ascii"),
            _PREAMBLE + b"\r\n" + delimiter + b"\r\n",
            part,
            b"\r\n" + delimiter + b"\r\n",
            _SIGNATURE_HEADER,
            encode_base64(signature),
            b"\r\n" + delimiter + b"--\r\n",
        )
    )


def pkcs7_mime(header: HeaderBlock, der: bytes | Iterable[Octets], smime_type: str) -> bytes:
    """Give a message whose whole body is one CMS object (RFC 8551 3.2 and 3.3, E36).

    `smime_type` is the parameter of RFC 8551 3.2.2, such as `enveloped-data` or `signed-data`;
    `header` without Content-* fields; MIME-Version is added when missing. Of an object in pieces,
    no more than one is held besides the result. Raises `FieldError` when the smime-type holds a
    character that does not belong there.
    """
    return _pkcs7_mime(_top(header), der, smime_type)


def pkcs7_mime_entity(der: bytes | Iterable[Octets], smime_type: str) -> bytes:
    """Give the entity of `pkcs7_mime` alone, as it goes inside another layer."""
    return _pkcs7_mime(b"", der, smime_type)


def with_entity(header: HeaderBlock, entity: bytes) -> bytes:
    """Give the message of an outer header without Content-* fields and an entity with its own.

    The header keeps its order; MIME-Version is added when missing (RFC 2045 4).
    """
    return _top(header) + entity


def _pkcs7_mime(top: bytes, der: bytes | Iterable[Octets], smime_type: str) -> bytes:
    if not smime_type or not _TYPE_CHARACTERS.issuperset(smime_type):
        raise FieldError("the smime-type is not valid")
    name = _FILE_NAMES.get(smime_type, "smime.p7m")
    fields = (
        f"Content-Type: application/pkcs7-mime; smime-type={smime_type};\r\n"
        f'\tname="{name}"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
    )
    message = BytesIO()  # grows in place and hands its buffer over
    message.write(top + fields.encode("ascii"))
    message.writelines(base64_lines((der,) if isinstance(der, bytes) else der))
    return message.getvalue()


def _top(header: HeaderBlock) -> bytes:
    raw = bytes(header)
    if raw and not raw.endswith(b"\n"):
        raw += b"\r\n"
    return raw if header.find("mime-version") else raw + b"MIME-Version: 1.0\r\n"
