"""One token: a logged-in session that is made anew when the token went away and came back.

PKCS #11 v2.40 5.4 (a process initialises for itself), 5.6 (sessions and login).
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass, Session

from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.uri import KeyUri

T = TypeVar("T")

# What says something of the octets that were given, not of the token.
OF_THE_INPUT = (
    pkcs11.DataInvalid,
    pkcs11.DataLenRange,
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
)
# What a token says of a mechanism, or parameters of one, that it does not have.
NOT_OFFERED = (
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.ArgumentsBad,
    pkcs11.FunctionNotSupported,
)


class BadInput(ValueError):  # noqa: N818 - what others sent is no error of the token
    """The token works, and refuses these octets."""


class NotOffered(Exception):  # noqa: N818 - a fact about a token, no error
    """The token works, and does not have this mechanism."""


@dataclass(frozen=True, slots=True)
class KeyOnToken:
    """What a token tells of a key in public: where it is and of what kind."""

    uri: KeyUri
    kind: str
    size: int


class Token:
    """A token by its label, used by one caller at a time; opened when it is first needed.

    A process that was forked opens it for itself.
    """

    def __init__(self, module: Path, label: str, pin: str) -> None:
        """Keep where it is; `pin` is that of the user."""
        self._module = str(module)
        self.label = label
        self._pin = pin
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._keys: dict[KeyUri, pkcs11.Key] = {}
        self._process = 0

    def use(self, uri: KeyUri, kind: ObjectClass, act: Callable[[Any], T]) -> T:
        """Do something with a key.

        What fails is tried once more with a new session, for the token may have been away.
        Raises `TokenUnavailable`, `BadInput` for octets a working token refuses, `NotOffered` for
        a mechanism it does not have.
        """
        with self._lock:
            try:
                return act(self._key(uri, kind))
            except OF_THE_INPUT as error:
                raise BadInput(_words(error)) from None
            except NOT_OFFERED as error:
                raise NotOffered(_words(error)) from None
            except AttributeError:  # the library gives a key only the methods it has a right to
                raise NotOffered("the key may not be used for this") from None
            except (pkcs11.PKCS11Error, TokenUnavailable):
                self._forget()
            try:
                key = self._key(uri, kind, anew=True)
            except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
                self._forget()
                raise self._unavailable(error) from error
            try:
                return act(key)
            except pkcs11.PKCS11Error as error:
                # The key was found just now, so it is this operation that fails.
                raise BadInput(_words(error)) from error

    def keys(self) -> tuple[KeyOnToken, ...]:
        """List the private and secret keys; raises `TokenUnavailable`."""
        with self._lock:
            try:
                session = self._opened(anew=True)
                return tuple(
                    _described(self.label, key)
                    for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
                    for key in session.get_objects({Attribute.CLASS: kind})
                )
            except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
                raise self._unavailable(error) from error

    def close(self) -> None:
        """Log out; the next use logs in again."""
        with self._lock:
            self._forget()

    def _key(self, uri: KeyUri, kind: ObjectClass, *, anew: bool = False) -> pkcs11.Key:
        if not anew and self._process == os.getpid() and uri in self._keys:
            return self._keys[uri]
        session = self._opened(anew=anew)
        if uri.token not in {"", self.label} or uri.serial not in {"", _serial(session)}:
            raise TokenUnavailable(f"{uri} is not on the token {self.label} that is set")
        try:
            key = session.get_key(kind, label=uri.object or None, id=uri.id or None)
        except pkcs11.NoSuchKey:
            raise TokenUnavailable(f"the token {self.label} has no key {uri}") from None
        except pkcs11.MultipleObjectsReturned:
            raise TokenUnavailable(f"the token {self.label} has several keys {uri}") from None
        self._keys[uri] = key
        return key

    def _opened(self, *, anew: bool = False) -> Session:
        if self._session is not None and self._process == os.getpid() and not anew:
            return self._session
        self._keys.clear()
        library = pkcs11.lib(self._module)
        if anew or self._process not in {0, os.getpid()}:
            # What a module knows of its slots, and every session, is that of its initialisation.
            library.reinitialize()
        self._session = library.get_token(token_label=self.label).open(user_pin=self._pin)
        self._process = os.getpid()
        return self._session

    def _forget(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None and self._process == os.getpid():
            try:
                session.close()
            except pkcs11.PKCS11Error:
                return  # it is gone already

    def _unavailable(self, error: Exception) -> TokenUnavailable:
        return TokenUnavailable(f"the token {self.label} cannot be used: {_words(error)}")


def _serial(session: Session) -> str:
    return session.token.serial.decode("ascii", "replace").strip()


def _described(label: str, key: Any) -> KeyOnToken:
    kind = "aes" if key.key_type is KeyType.AES else KeyType(key.key_type).name.lower()
    try:
        size = int(key.key_length)
    except (pkcs11.PKCS11Error, AttributeError, TypeError):
        size = 0  # not every token says so
    return KeyOnToken(KeyUri(object=key.label or "", id=key.id or b"", token=label), kind, size)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
