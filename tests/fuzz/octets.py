"""Mutations of any octets: flips, cuts, repeats, words of a dictionary, and two made one."""

from collections.abc import Callable, Sequence
from random import Random

MAX_OCTETS = 100_000  # of a mutant that is not amplified
AMPLIFIED = 1_000_000  # octets; what is quadratic takes longer than allowed at this size
_ODD = (0, 1, 9, 10, 13, 32, 34, 45, 58, 61, 127, 128, 129, 130, 132, 136, 160, 163, 254, 255)

Mutation = Callable[[Random, bytes], bytes]


def span(rng: Random, raw: bytes) -> tuple[int, int]:
    """Choose a slice, mostly a short one."""
    start = rng.randrange(len(raw) + 1)
    longest = len(raw) - start if rng.random() < 0.1 else min(len(raw) - start, 64)
    return start, start + rng.randint(0, longest)


def flip(rng: Random, raw: bytes) -> bytes:
    changed = bytearray(raw or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_octet(rng: Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    value = rng.choice(_ODD) if rng.random() < 0.7 else rng.randrange(256)
    return raw[:at] + bytes([value]) + raw[at + 1 :]


def delete(rng: Random, raw: bytes) -> bytes:
    start, end = span(rng, raw)
    return raw[:start] + raw[end:]


def duplicate(rng: Random, raw: bytes) -> bytes:
    start, end = span(rng, raw)
    return raw[:end] + raw[start:end] * rng.choice((1, 1, 2, 20)) + raw[end:]


def truncate(rng: Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def insert(rng: Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.randbytes(rng.choice((1, 2, 4, 16))) + raw[at:]


def move(rng: Random, raw: bytes) -> bytes:
    start, end = span(rng, raw)
    rest = raw[:start] + raw[end:]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + raw[start:end] + rest[at:]


ANY: Sequence[Mutation] = (flip, set_octet, delete, duplicate, truncate, insert, move)


def place(rng: Random, raw: bytes, words: Sequence[bytes]) -> bytes:
    """Put a word of a dictionary in, or over what is there."""
    word, at = rng.choice(words), rng.randrange(len(raw) + 1)
    return raw[:at] + word + raw[at + len(word) * rng.randrange(2) :]


def splice(rng: Random, one: bytes, other: bytes) -> bytes:
    """Give the beginning of one and the end of another."""
    return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]


def amplify(rng: Random, raw: bytes) -> bytes:
    """Repeat a slice until the whole is large."""
    start, end = span(rng, raw)
    piece = raw[start:end] or b"\n"
    return raw[:end] + piece * (AMPLIFIED // len(piece)) + raw[end:]
