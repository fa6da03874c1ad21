"""Access tokens of a service of ours: fetched when needed, kept until shortly before they end.

RFC 6749 4.4.3 and 5.1 (the answer with a token), RFC 6750 2.1 (what a token looks like).
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from smime_proxy.smtp.errors import TokenError

EARLY = 60.0  # seconds before its end that a token is replaced; at most half of its life
ASSUMED_LIFE = 300.0  # seconds of a token whose answer names none
LONGEST_LIFE = 86_400.0  # seconds; whoever promises more is asked again all the same
MAX_TOKEN = 8192  # characters; base64 of it and a user fit what AUTH allows, RFC 4954 4
REFETCH_PAUSE = 10.0  # seconds between tokens fetched because one was refused
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

AskForToken = Callable[[], Awaitable[bytes]]
"""Asks the token endpoint and gives the content of its 200; raises `TokenError`."""


class AccessTokens:
    """The token in use, for one event loop; `ask` fetches another, `clock` is in seconds."""

    def __init__(self, ask: AskForToken, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a token; nothing is asked before one is needed."""
        self._ask = ask
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._token = ""
        self._until = 0.0
        self._refetched = -REFETCH_PAUSE

    async def token(self) -> str:
        """Give a token that is good for now; raises `TokenError` when none is to be had."""
        async with self._fetching:
            if not self._token or self._clock() >= self._until:
                self._token = ""
                asked_at = self._clock()
                token, life = read_answer(await self._ask())
                self._token, self._until = token, asked_at + life - min(EARLY, life / 2)
            return self._token

    def reject(self, token: str) -> bool:
        """Forget a token that was refused; False when it is not worth while to ask for another.

        A server that refuses every token must not make us ask for one with every mail.
        """
        if token != self._token:
            return True  # somebody has replaced it already
        if self._clock() - self._refetched < REFETCH_PAUSE:
            return False
        self._refetched, self._token = self._clock(), ""
        return True


def read_answer(raw: bytes) -> tuple[str, float]:
    """Give the token and its life in seconds (RFC 6749 5.1).

    Raises `TokenError`, whose text has nothing of the answer.
    """
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        raise TokenError("the token endpoint's answer is no JSON") from None
    if not isinstance(answer, dict):
        raise TokenError("the token endpoint's answer is no JSON object")
    token, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or len(token) > MAX_TOKEN:
        raise TokenError("the token endpoint's answer holds no usable access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenError("the token endpoint's answer is no token of type Bearer")
    return token, _life(answer.get("expires_in"))


def _life(value: Any) -> float:
    """Read `expires_in`, which some servers write as text."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return ASSUMED_LIFE
    return min(max(life, 0.0), LONGEST_LIFE) if life == life else ASSUMED_LIFE  # noqa: PLR0124 - NaN
