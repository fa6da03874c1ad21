"""Asks an OAuth 2 token endpoint for an access token of our own: the client credentials grant.

RFC 6749 4.4 and 2.3.1 (the client proves itself by HTTP Basic), RFC 9110 (HTTP).
"""

import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from smime_proxy.lookup.http import AddressRule, Http

MAX_ANSWER = 65_536  # octets; tokens have some thousands
SECONDS = 20.0  # for the whole of it; a mail waits

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where tokens of one client are had; `url` is https, its server is verified by `tls`."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    tls: ssl.SSLContext | None = None  # None: the system's authorities

    async def ask(self) -> bytes:
        """Give the content of the answer; raises `LookupFailed`, whose text has no secret.

        The address is the administrator's choice, so it may be a private one. No redirect is
        followed, no connection is kept.
        """
        form = {"grant_type": "client_credentials"}
        form |= {"scope": self.scope} if self.scope else {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        http = Http(AddressRule(allow_private=True), tls=self.tls)
        try:
            return await http.fetch(
                self.url,
                limit=MAX_ANSWER,
                seconds=SECONDS,
                send=urlencode(form).encode(),
                kind=_FORM,
                headers={
                    "Authorization": f"Basic {b64encode(pair.encode()).decode()}",
                    "Accept": "application/json",
                },
            )
        finally:
            await http.close()
