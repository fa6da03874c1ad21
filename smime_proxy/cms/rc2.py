"""RC2 in CBC mode, to read the mail of the 1990s; nothing is encrypted with it.

RFC 2268. Libraries refuse the short keys of RC2-40. All blocks of a piece go through each step at
once, as lanes of one long integer: block by block it would take minutes for a large message.
"""

from collections.abc import Sequence

from smime_proxy.cms.der import Octets

BLOCK = 8  # octets
MAX_KEY = 128  # octets

_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)
_ROTATIONS = (1, 2, 3, 5)  # RFC 2268 3.1, of the words 0 to 3
_LANE = 4  # octets a word of 16 bits takes, so that sums do not run over


class Rc2Cbc:
    """Takes ciphertext in pieces of any length, gives the content of all whole blocks so far."""

    def __init__(self, key: bytes, effective_bits: int, vector: bytes) -> None:
        self._words = expand(key, effective_bits)
        self._vector = vector
        self._waiting = b""

    def update(self, octets: Octets) -> bytes:
        """Content of the blocks these octets complete."""
        ciphertext = self._waiting + octets
        whole = len(ciphertext) // BLOCK * BLOCK
        ciphertext, self._waiting = ciphertext[:whole], ciphertext[whole:]
        if not ciphertext:
            return b""
        before = self._vector + ciphertext[:-BLOCK]
        self._vector = ciphertext[-BLOCK:]
        mixed = decrypt_blocks(self._words, ciphertext)
        content = int.from_bytes(mixed) ^ int.from_bytes(before)
        return content.to_bytes(whole)


def expand(key: bytes, effective_bits: int) -> Sequence[int]:
    """The 64 words of a key of 1 to 128 octets (RFC 2268 2)."""
    octets = bytearray(key)
    for at in range(len(key), MAX_KEY):
        octets.append(_PI[octets[at - 1] + octets[at - len(key)] & 0xFF])
    length = (effective_bits + 7) // 8
    mask = 0xFF >> (8 * length - effective_bits)
    octets[MAX_KEY - length] = _PI[octets[MAX_KEY - length] & mask]
    for at in range(MAX_KEY - 1 - length, -1, -1):
        octets[at] = _PI[octets[at + 1] ^ octets[at + length]]
    return [octets[at] | octets[at + 1] << 8 for at in range(0, MAX_KEY, 2)]


def decrypt_blocks(words: Sequence[int], ciphertext: bytes) -> bytes:
    """Each block by itself (RFC 2268 4)."""
    count = len(ciphertext) // BLOCK
    ones = int.from_bytes(b"\x01\x00\x00\x00" * count, "little")
    mask = ones * 0xFFFF
    r = [
        _join(ciphertext[2 * word :: BLOCK], ciphertext[2 * word + 1 :: BLOCK]) for word in range(4)
    ]
    low = bytes(words[at & 63] & 0xFF for at in range(256))
    high = bytes(words[at & 63] >> 8 for at in range(256))
    for round_ in range(15, -1, -1):
        for word in (3, 2, 1, 0):
            one, two, three = r[word - 1], r[word - 2], r[word - 3]
            turn = _ROTATIONS[word]
            turned = (r[word] >> turn | r[word] << (16 - turn)) & mask
            # Bits of `two` where `one` has ones, of `three` elsewhere; 0x20000 is more than both
            # subtrahends, so no lane borrows from the next.
            chosen = three ^ one & (two ^ three)
            r[word] = turned + ones * (0x20000 - words[4 * round_ + word]) - chosen & mask
        if round_ in {5, 11}:
            for word in (3, 2, 1, 0):
                index = r[word - 1].to_bytes(_LANE * count, "little")[::_LANE]
                key_words = _join(index.translate(low), index.translate(high))
                r[word] = r[word] + ones * 0x10000 - key_words & mask
    content = bytearray(len(ciphertext))
    for word in range(4):
        lanes = r[word].to_bytes(_LANE * count, "little")
        content[2 * word :: BLOCK] = lanes[::_LANE]
        content[2 * word + 1 :: BLOCK] = lanes[1::_LANE]
    return bytes(content)


def _join(low: bytes, high: bytes) -> int:
    """The words of all blocks as one integer, from their low and high octets."""
    lanes = bytearray(_LANE * len(low))
    lanes[::_LANE] = low
    lanes[1::_LANE] = high
    return int.from_bytes(lanes, "little")
