"""Blocks of textual encodings in a file, whatever stands between them.

RFC 7468 (PEM), RFC 1421 4.6 (the headers of traditional OpenSSL keys).
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from smime_proxy.certs.errors import CertificateError

MAX_FILE_OCTETS = 16_000_000  # about 10,000 certificates in one file; bounds memory

_BEGIN = b"-----BEGIN "
_DASHES = b"-----"


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One block: its label (`CERTIFICATE`) and its text from BEGIN to END, never shown."""

    label: str
    raw: bytes

    def __repr__(self) -> str:
        return f"PemBlock({self.label!r})"

    def decode(self) -> bytes:
        """Give the octets the base64 lines stand for (RFC 7468 2).

        Raises `CertificateError` when they are no base64.
        """
        body = self.raw.partition(_DASHES + b"\n")[2] or self.raw.partition(_DASHES + b"\r")[2]
        text = body[: body.rfind(b"-----END ")]
        try:
            return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
        except binascii.Error as error:
            raise CertificateError(f"the {self.label} block is not valid base64") from error


def looks_like_pem(raw: bytes) -> bool:
    """Tell whether the file holds textual encodings rather than bare DER."""
    return _BEGIN in raw


def pem_blocks(raw: bytes) -> Iterator[PemBlock]:
    """Yield every complete block of a file in order (RFC 7468 2); time is linear in its size."""
    at = raw.find(_BEGIN)
    while at >= 0:
        label_end = raw.find(_DASHES, at + len(_BEGIN))
        if label_end < 0:
            return
        label = raw[at + len(_BEGIN) : label_end]
        end_line = b"-----END " + label + _DASHES
        end = raw.find(end_line, label_end)
        if end < 0:
            return
        end += len(end_line)
        yield PemBlock(label.decode("ascii", "replace"), raw[at:end] + b"\n")
        at = raw.find(_BEGIN, end)
