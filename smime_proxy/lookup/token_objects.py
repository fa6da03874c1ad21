"""Prints the certificates and trust objects of a PKCS #11 module; a program of its own.

PKCS #11 2.40 (C_GetFunctionList, C_FindObjects), 3.2 (trust objects), NSS pkcs11n.h (those of
before). It runs by its path in a process of its own and imports nothing of ours: a foreign library
may end a process.
"""

import ctypes
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

MAX_OBJECTS = 4096  # NSS 3.87 has about 320; bounds what a wrong module gives
MAX_VALUE = 65536  # octets of one attribute; the largest root has 2,200

_OK = 0x00
_SENSITIVE, _NO_SUCH_ATTRIBUTE = 0x11, 0x12  # a length of -1 says so as well
_UNAVAILABLE = ctypes.c_ulong(-1).value
_SERIAL_SESSION = 0x04
_CERTIFICATE = 0x01
_NSS = 0x80000000 | 0x4E534350  # CKO_NSS and CKA_NSS
# Places in CK_FUNCTION_LIST, behind its version.
_INITIALIZE, _GET_INFO, _GET_SLOT_LIST, _OPEN_SESSION = 0, 2, 4, 12
_GET_ATTRIBUTE, _FIND_INIT, _FIND, _FIND_FINAL = 24, 26, 27, 28

_CLASSES = {"certificate": _CERTIFICATE, "nss-trust": _NSS + 3, "trust": 0x0B}
_ATTRIBUTES = {
    "certificate": {"der": 0x11, "distrust_after": _NSS + 36},  # CKA_NSS_EMAIL_DISTRUST_AFTER
    "trust": {
        "issuer": 0x81,
        "serial": 0x82,
        "hash": 0x635,  # CKA_HASH_OF_CERTIFICATE
        "email": 0x62F,  # CKA_TRUST_EMAIL_PROTECTION of the standard
    },
    "nss-trust": {
        "issuer": 0x81,
        "serial": 0x82,
        "hash": _NSS + 0x2000 + 100,  # CKA_CERT_SHA1_HASH
        "email": _NSS + 0x2000 + 11,  # CKA_TRUST_EMAIL_PROTECTION
    },
}
_POINTER = ctypes.c_void_p


class _Attribute(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_ulong),
        ("value", ctypes.c_void_p),
        ("length", ctypes.c_ulong),
    )


class _About(ctypes.Structure):
    _fields_ = (
        ("cryptoki", ctypes.c_ubyte * 2),
        ("manufacturer", ctypes.c_char * 32),
        ("flags", ctypes.c_ulong),
        ("description", ctypes.c_char * 32),
        ("version", ctypes.c_ubyte * 2),
    )


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


class Module:
    """A loaded module; raises `OSError` for what is none and when it says no."""

    def __init__(self, path: str) -> None:
        """Load and initialize it."""
        library = ctypes.CDLL(path)
        try:
            get_function_list = library.C_GetFunctionList
        except AttributeError:
            raise OSError("it is no PKCS #11 module") from None
        found = ctypes.POINTER(_FunctionList)()
        if get_function_list(ctypes.byref(found)) != _OK or not ctypes.cast(found, _POINTER).value:
            raise OSError("it gives no function list")
        self._functions = found.contents.functions
        self._call(_INITIALIZE, None)

    def info(self) -> dict[str, Any]:
        """Say who made it, and its version."""
        info = _About()
        self._call(_GET_INFO, ctypes.byref(info))
        major, minor = info.version
        return {
            "kind": "module",
            "manufacturer": info.manufacturer.decode("utf-8", "replace").rstrip(),
            "description": info.description.decode("utf-8", "replace").rstrip(),
            "version": f"{major}.{minor}",
        }

    def objects(self) -> Iterator[dict[str, Any]]:
        """Give the attributes of all certificates and trust objects, octets in hexadecimal."""
        for slot in self._slots():
            session = ctypes.c_ulong()
            flags = ctypes.c_ulong(_SERIAL_SESSION)
            self._call(_OPEN_SESSION, slot, flags, None, None, ctypes.byref(session))
            for kind, wanted in _CLASSES.items():
                for number in self._find(session, wanted):
                    yield {"kind": kind} | self._attributes(session, number, _ATTRIBUTES[kind])

    def _slots(self) -> list[ctypes.c_ulong]:
        count = ctypes.c_ulong()
        self._call(_GET_SLOT_LIST, ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ctypes.c_ulong * min(count.value, 64))()
        count = ctypes.c_ulong(len(slots))
        self._call(_GET_SLOT_LIST, ctypes.c_ubyte(1), slots, ctypes.byref(count))
        return [ctypes.c_ulong(slot) for slot in slots[: count.value]]

    def _find(self, session: ctypes.c_ulong, wanted: int) -> list[ctypes.c_ulong]:
        value = ctypes.c_ulong(wanted)
        template = _Attribute(0, ctypes.addressof(value), ctypes.sizeof(value))  # CKA_CLASS
        self._call(_FIND_INIT, session, ctypes.byref(template), ctypes.c_ulong(1))
        found = (ctypes.c_ulong * MAX_OBJECTS)()
        count = ctypes.c_ulong()
        numbers: list[ctypes.c_ulong] = []
        while True:
            capacity = ctypes.c_ulong(MAX_OBJECTS)
            self._call(_FIND, session, found, capacity, ctypes.byref(count))
            if not count.value:
                break
            numbers += [ctypes.c_ulong(number) for number in found[: count.value]]
            if len(numbers) > MAX_OBJECTS:
                raise OSError(f"it holds more than {MAX_OBJECTS} objects of a kind")
        self._call(_FIND_FINAL, session)
        return numbers

    def _attributes(
        self, session: ctypes.c_ulong, number: ctypes.c_ulong, wanted: dict[str, int]
    ) -> dict[str, str | None]:
        return {name: self._attribute(session, number, wanted[name]) for name in wanted}

    def _attribute(self, session: ctypes.c_ulong, number: ctypes.c_ulong, kind: int) -> str | None:
        asked = _Attribute(kind, None, 0)
        if not self._get(session, number, asked):
            return None
        if asked.length > MAX_VALUE:
            raise OSError(f"an attribute has more than {MAX_VALUE} octets")
        room = ctypes.create_string_buffer(asked.length or 1)
        asked.value = ctypes.cast(room, ctypes.c_void_p)
        return room.raw[: asked.length].hex() if self._get(session, number, asked) else None

    def _get(self, session: ctypes.c_ulong, number: ctypes.c_ulong, asked: _Attribute) -> bool:
        """Ask for one attribute; False when the object has none of that kind."""
        one = ctypes.c_ulong(1)
        code = self._code(_GET_ATTRIBUTE, session, number, ctypes.byref(asked), one)
        if code in {_SENSITIVE, _NO_SUCH_ATTRIBUTE} or asked.length == _UNAVAILABLE:
            return False
        self._check(code, _GET_ATTRIBUTE)
        return True

    def _call(self, place: int, *arguments: Any) -> None:
        self._check(self._code(place, *arguments), place)

    def _code(self, place: int, *arguments: Any) -> int:
        address = self._functions[place]
        if not address:
            raise OSError(f"function {place} of PKCS #11 is missing")
        function = ctypes.CFUNCTYPE(ctypes.c_ulong, *map(_c_type, arguments))(address)
        code: int = function(*arguments)
        return code

    def _check(self, code: int, place: int) -> None:
        if code != _OK:
            raise OSError(f"function {place} of PKCS #11 answers 0x{code:x}")


def _c_type(argument: Any) -> Any:
    return type(argument) if isinstance(argument, ctypes.c_ulong | ctypes.c_ubyte) else _POINTER


def main(path: str) -> int:
    """Print the module and its objects, one JSON object a line; 1 with the reason, if not."""
    try:
        module = Module(path)
        for one in itertools.chain([module.info()], module.objects()):
            sys.stdout.write(json.dumps(one) + "\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
