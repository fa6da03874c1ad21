"""The base error of everything that is looked up outside the store."""


class LookupFailed(Exception):  # noqa: N818 - LookupError is Python's own
    """Something could not be found or read; the text is one line for people."""
