"""The CMS structures under one name, and what an object is by its content type.

RFC 5652 3, RFC 8551 3.
"""

from collections.abc import Callable

from smime_proxy.cms import oids
from smime_proxy.cms.content_info import ContentInfo, parse_content_info, peek_content_type
from smime_proxy.cms.der import Octets
from smime_proxy.cms.enveloped_data import EnvelopedData, RecipientInfo, parse_enveloped_data
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.identifier import Identifier
from smime_proxy.cms.signed_data import (
    Attribute,
    SignedData,
    SignerInfo,
    is_certs_only,
    parse_signed_data,
)

__all__ = [
    "Attribute",
    "ContentInfo",
    "EnvelopedData",
    "Identifier",
    "RecipientInfo",
    "SignedData",
    "SignerInfo",
    "content_kind",
    "parse_content_info",
    "parse_enveloped_data",
    "parse_signed_data",
]

_KINDS = {
    oids.DATA: "data",
    oids.SIGNED_DATA: "signed-data",
    oids.ENVELOPED_DATA: "enveloped-data",
    oids.ENCRYPTED_DATA: "encrypted-data",
    oids.AUTHENTICATED_DATA: "authenticated-data",
    oids.COMPRESSED_DATA: "compressed-data",
    oids.AUTH_ENVELOPED_DATA: "auth-enveloped-data",
}


def content_kind(raw: Octets, whole: Callable[[], Octets] | None = None) -> str:
    """What the object is by its content type, reading no further than that needs.

    With `whole`, `raw` may be the first 100 octets alone; all of them are then asked for where
    they matter.

    `signed-data`, `enveloped-data`, `auth-enveloped-data`, `compressed-data`,
    `encrypted-data`, `authenticated-data`, `data`, or `certs-only` (RFC 8551 3.8: neither
    signers nor content). Raises MalformedCms for everything else.
    """
    content_type = peek_content_type(raw)
    kind = _KINDS.get(content_type)
    if kind is None:
        raise MalformedCms(f"unknown content type {content_type}")
    return (
        "certs-only" if kind == "signed-data" and is_certs_only(whole() if whole else raw) else kind
    )
