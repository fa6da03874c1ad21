"""Words of people in ASCII, as replies need them, and the lines administrators write.

RFC 5321 4.2 (replies are ASCII without SMTPUTF8), DIN 5007-2 for the German letters.
"""

import unicodedata

MAX_CONTACT = 100  # characters; with the longest advice it fits one reply line
MAX_REFUSAL_TEXT = 200  # characters; with the longest contact it fits one reply line
_LETTERS = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ẞ": "SS",
        "\u2013": "-",
        "\u2014": "-",
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u00a0": " ",
        "\u2026": "...",
    }
)


def in_ascii(text: str) -> str:
    """Write text with printable ASCII: umlauts as two letters, accents left out, else `?`."""
    spelt = unicodedata.normalize("NFC", text).translate(_LETTERS)
    bare = (c for c in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in bare)


def read_line(text: str, limit: int) -> str:
    """Check one line that replies carry: printable, writable in ASCII, at most `limit` then.

    Empty is allowed. Gives it without blanks around; raises ValueError.
    """
    line = unicodedata.normalize("NFC", text.strip())
    if not line.isprintable():
        raise ValueError("must be one line without control characters")
    written = in_ascii(line)
    if written.count("?") > line.count("?"):
        raise ValueError("must be writable in ASCII: replies can carry nothing else")
    if max(len(line), len(written)) > limit:
        raise ValueError(f"must have at most {limit} characters, it has {len(written)} in ASCII")
    return line
