"""How a client that is believed announces whom it speaks for: XCLIENT and XFORWARD.

Postfix XCLIENT_README and XFORWARD_README; row A06.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

import structlog

from smime_proxy.smtp.attributes import NOT_LISTED, WITHIN_TRANSACTION, AttributesError
from smime_proxy.smtp.introduction import MAX_HELO, OK, Introduction
from smime_proxy.smtp.xclient import Claim, read_xclient
from smime_proxy.smtp.xforward import doubtful, read_xforward

_log = structlog.get_logger("smime_proxy.smtp")


class Announcement(Introduction):
    """What of a session is about clients others speak for; strangers may not."""

    def _may_announce(self) -> bool:
        """Tell whether the client may speak for another now; if not, say why."""
        if not self._is_believed:
            self._note_refusal(NOT_LISTED)
            return False
        if self._transaction is not None:
            self.say(WITHIN_TRANSACTION)
            return False
        self._aimless += 1
        return True

    async def _xclient(self, argument: bytes) -> None:
        if not self._may_announce():
            return
        before = Claim(self.ends, self._name)
        try:
            claim = read_xclient(argument, before, lmtp=self._is_lmtp)
        except AttributesError as fault:
            self.say(fault.reply)
            return
        await self._become(claim)

    async def _become(self, claim: Claim) -> None:
        """Begin the session anew with another client (XCLIENT_README, "Server response")."""
        await self._be_nobody()
        refusal = self.admission.rename(self.peer, claim.ends.address)
        _log.info("xclient", peer=self.peer, client=claim.ends.address)
        self.ends, self._name = claim.ends, claim.name
        self.is_announced = True
        self._authentication = self._nobody(claim.login)
        self._session = self._forwarded = None
        if claim.helo:
            self._begin_session(claim.helo[:MAX_HELO], extended=claim.protocol != "SMTP")
        self.say(refusal or self._greeting)

    async def _xforward(self, argument: bytes) -> None:
        if not self._may_announce():
            return
        try:
            self._forwarded = read_xforward(argument, self._forwarded)
        except AttributesError as fault:
            self._doubt()
            self.say(fault.reply)
            return
        self.say(OK)

    def _doubt(self) -> None:
        """Take the next message for a stranger's: what was said of it could not be read."""
        if self._is_believed and self._transaction is None:
            self._forwarded = doubtful(self._forwarded)

    announcing: ClassVar[dict[bytes, Callable[["Announcement", bytes], Awaitable[None]]]] = {
        b"XCLIENT": _xclient,
        b"XFORWARD": _xforward,
    }
