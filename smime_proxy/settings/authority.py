"""`[authority]`: how the built-in authority makes itself known.

RFC 5280 4.2.1.13 (where lists are), 4.2.2.1 (where certificates of issuers are).
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from smime_proxy.settings.tables import Table


def read_base_url(text: str) -> str:
    """Check where people reach the status port's /crl, without the slash at its end.

    Raises ValueError.
    """
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(f"{text!r} is no URL") from None
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "<>\\^`{|}')
    if not (plain and parts.hostname and port_is_sound) or parts.username is not None:
        raise ValueError(f"{text!r} is no URL")
    if parts.scheme != "http":
        # RFC 5280 8: whoever checks the server's certificate would need its list first.
        raise ValueError("must begin with http://: lists are signed, and few readers take https")
    if parts.query or parts.fragment:
        raise ValueError("must end with a host or a path")
    return text.rstrip("/")


class Authority(Table):
    """`[authority]`: the built-in certificate authority."""

    url: Annotated[str, AfterValidator(read_base_url)] = ""
    """http:// URL under which people reach /crl of the status port; written into certificates."""
