"""Sign a MIME entity clear or opaque, with the signing time that does no harm.

RFC 8551 3.5.3 (multipart/signed), RFC 1847 2.1, RFC 8551 3.5.2 (signed-data), 2.5.1 (signing time).
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from smime_proxy.cms.sign import CmsSigner, sign, sign_pieces
from smime_proxy.message.build import multipart_signed_entity, new_boundary, pkcs7_mime_entity
from smime_proxy.message.header import HeaderBlock

# Thunderbird fails a signature whose time is more than an hour from Date; ten minutes of slack.
MAX_TIME_APART = timedelta(minutes=50)
MAX_DATE = 100  # characters of a Date field that are read at all

# The names of RFC 8551 3.5.3.2 and the registry it points to; SHA-3 has none and is written alike.
_MICALG = {
    "sha224": "sha-224",
    "sha256": "sha-256",
    "sha384": "sha-384",
    "sha512": "sha-512",
    "sha3_224": "sha3-224",
    "sha3_256": "sha3-256",
    "sha3_384": "sha3-384",
    "sha3_512": "sha3-512",
    "shake128": "shake128",
    "shake256": "shake256",
}


def signing_time(header: HeaderBlock, at: datetime) -> datetime | None:
    """Give the signing time to write, `at`, or None when it is better left out.

    It is left out when Date is missing, unreadable or more than `MAX_TIME_APART` away, because
    Thunderbird then calls the signature invalid (RFC 8551 2.5.1 makes it optional to verify).
    """
    date = read_date(header)
    return at if date is not None and abs(date - at) <= MAX_TIME_APART else None


def read_date(header: HeaderBlock) -> datetime | None:
    """Read the one Date field (RFC 5322 3.6.1) as an aware time; None when it cannot be read."""
    found = header.find("date")
    if len(found) != 1 or len(found[0].value) > MAX_DATE:
        return None
    try:
        date = parsedate_to_datetime(found[0].value)
        # RFC 5322 3.3: -0000 says that the time is UTC and nothing of the zone.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def sign_entity(
    part: bytes, signer: CmsSigner, *, signing_time: datetime | None, boundary_seed: bytes
) -> bytes:
    """Give the multipart/signed entity over `part`, a canonical MIME entity with CRLF line ends.

    `boundary_seed` is 16 random octets. Raises `cms.errors.CmsError` when the key cannot sign.
    """
    signature = sign(part, signer, signing_time=signing_time, detached=True)
    micalg = _MICALG[signer.digest_name]
    return multipart_signed_entity(part, signature, micalg, new_boundary(boundary_seed))


def sign_entity_opaque(part: bytes, signer: CmsSigner, *, signing_time: datetime | None) -> bytes:
    """Give the application/pkcs7-mime entity that holds `part` and the signature over it (E37).

    `part` is a canonical MIME entity with CRLF line ends. Raises `cms.errors.CmsError` when the key
    cannot sign.
    """
    # In pieces: large mail is not copied on its way into base64.
    pieces = sign_pieces(part, signer, signing_time=signing_time, detached=False)
    return pkcs7_mime_entity(pieces, "signed-data")
