"""TNEF made for tests: attributes and MAPI properties written as Outlook does.

MS-OXTNEF 2.1 (stream), 2.1.3.4 (message properties).
"""

import struct

SIGNATURE = 0x223E9F78
MESSAGE, ATTACHMENT = 1, 2
VERSION = 0x00089006
CODE_PAGE = 0x00069007
MESSAGE_CLASS = 0x00078008
SUBJECT = 0x00018004
PROPERTIES = 0x00069003
ATTACHMENT_DATA = 0x0006800F
ATTACHMENT_PROPERTIES = 0x00069005

STRING8, UNICODE, BINARY = 0x001E, 0x001F, 0x0102
CLASS_PROPERTY = 0x001A


def stream(*attributes: bytes) -> bytes:
    """Put attributes behind the signature, a key, and the two attributes that always come first."""
    always = attribute(VERSION, struct.pack("<I", 0x10000)), attribute(CODE_PAGE, bytes(8))
    return struct.pack("<IH", SIGNATURE, 7) + b"".join(always + attributes)


def attribute(identifier: int, value: bytes, level: int = MESSAGE) -> bytes:
    head = struct.pack("<BII", level, identifier, len(value))
    return head + value + struct.pack("<H", sum(value) & 0xFFFF)


def class_attribute(name: str) -> bytes:
    return attribute(MESSAGE_CLASS, name.encode("ascii") + b"\0")


def properties(*written: bytes) -> bytes:
    return attribute(PROPERTIES, struct.pack("<I", len(written)) + b"".join(written))


def tag(kind: int, identifier: int, name: int | str = 0) -> bytes:
    """Write type and identifier, and the name where the identifier says that there is one."""
    head = struct.pack("<HH", kind, identifier)
    if identifier < 0x8000:
        return head
    if isinstance(name, int):
        return head + bytes(16) + struct.pack("<II", 0, name)
    text = name.encode("utf-16-le") + b"\0\0"
    return head + bytes(16) + struct.pack("<II", 1, len(text)) + padded(text)


def counted(*values: bytes) -> bytes:
    lengths = (struct.pack("<I", len(value)) + padded(value) for value in values)
    return struct.pack("<I", len(values)) + b"".join(lengths)


def padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def class_property(name: str, kind: int = UNICODE) -> bytes:
    encoding = "utf-16-le" if kind == UNICODE else "ascii"
    return tag(kind, CLASS_PROPERTY) + counted((name + "\0").encode(encoding))
