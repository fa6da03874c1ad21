"""What can be wrong with a CMS object, as exceptions.

RFC 5652; the uniform decryption failure is RFC 8551 6 and RFC 3218.
"""

DECRYPTION_FAILED = "the content could not be decrypted"


class CmsError(Exception):
    """Base of every error this package raises."""


class MalformedCms(CmsError):  # noqa: N818 - says what is wrong
    """The octets are not the CMS structure they should be, or go past a limit."""


class UnsupportedAlgorithm(CmsError):  # noqa: N818 - same
    """A key or algorithm outside the table in `algorithms`; `oid` is its dotted name."""

    def __init__(self, oid: str, reason: str = "unsupported algorithm") -> None:
        super().__init__(f"{reason}: {oid}")
        self.oid = oid


class DecryptionError(CmsError):
    """Decryption failed; the text is the same for every cause.

    A cause that can be told apart is an oracle (RFC 3218), so nothing is chained either.
    """

    def __init__(self) -> None:
        super().__init__(DECRYPTION_FAILED)
