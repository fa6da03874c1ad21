"""What can go wrong with certificates and key files, in words for the administrator.

RFC 5280 and RFC 7292 define what is read here; neither defines errors.
"""


class CertificateError(Exception):
    """The octets are no certificate this program can work with."""


class KeyFileError(CertificateError):
    """A file of keys cannot serve; the text is one line that says why."""


def one_line(error: BaseException) -> str:
    """Put what a library says of octets into one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
