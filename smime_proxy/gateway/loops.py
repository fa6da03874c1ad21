"""Knows mail that goes round: by marks in our Received fields, and by upstreams that are ourselves.

RFC 5321 6.3 (loops) and 4.4 (trace); E89, R29. Marks carry an HMAC: who forges one changes nothing,
and one of another message does not count.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.message_ids import own_identifiers

# Passages of one message by the same listener; out and in again, a list, an alias back to us and a
# filter that hands it in again each make one more, and none makes four.
MAX_PASSES = 3
_MARK_OCTETS = 10  # of the HMAC; each guess costs a whole message
_NAME_OCTETS = 8  # of a listener's name in its greeting; who copies it only turns our mail away
_IDENTIFIER = re.compile(r"\sid\s+([0-9a-f]{12})-([0-9a-f]{20})(?![^\s;])")
_NAME = re.compile(r"[0-9a-f]{16}")


class Loops:
    """The marks of one gateway; `key` is secret and the same for all its processes."""

    def __init__(self, key: bytes, hostname: str, listeners: Iterable[str]) -> None:
        """Prepare the names of its listeners; `hostname` tells gateways of one key apart."""
        self._key = key
        self._names = {
            self._hmac(_NAME_OCTETS, "listener", hostname, name): name for name in listeners
        }
        self._ways: dict[str, str] = {}

    def name_of(self, listener: str) -> str:
        """Give the word a listener's greeting ends with; to strangers it is like chance."""
        return next(word for word, name in self._names.items() if name == listener)

    def leads_back(self, listener: str, greeting: str) -> bool:
        """Note by its greeting where a listener's upstream leads; True when that is back to it.

        Ways that other listeners of ours were seen to lead are followed.
        """
        self._ways.pop(listener, None)
        target = self._names.get(word_of(greeting))
        if target is None:
            return False
        self._ways[listener] = target
        for _ in self._names:
            if target == listener:
                return True
            if target not in self._ways:
                return False
            target = self._ways[target]
        return False

    def mark(self, listener: str, identifier: str, header: HeaderBlock) -> str:
        """Give the identifier for our Received field: the transaction's, and that we made it."""
        return f"{identifier}-{self._passage(listener, identifier, header)}"

    def goes_round(self, listener: str, header: HeaderBlock) -> bool:
        """Tell whether a message went through this listener more often than `MAX_PASSES`."""
        passed = set()
        for field in header.find("received"):
            for identifier, mark in _IDENTIFIER.findall(field.value):
                if hmac.compare_digest(self._passage(listener, identifier, header), mark):
                    passed.add(identifier)
        return len(passed) > MAX_PASSES

    def _passage(self, listener: str, identifier: str, header: HeaderBlock) -> str:
        # Bound to the message: nobody can be refused for marks of mail he once got.
        own = b"".join(own_identifiers(header)[:1]).decode("utf-8", "surrogateescape")
        return self._hmac(_MARK_OCTETS, "passage", listener, identifier, own)

    def _hmac(self, octets: int, *words: str) -> str:
        raw = b"\0".join(word.encode("utf-8", "surrogateescape") for word in words)
        return hmac.digest(self._key, raw, hashlib.sha256)[:octets].hex()


def word_of(greeting: str) -> str:
    """Give the word at a greeting's end that may be the name of a listener, "" without one."""
    word = greeting.rpartition(" ")[2]
    return word if _NAME.fullmatch(word) else ""
