"""What is raised when something that must hold does not."""


class Violation(AssertionError):  # noqa: N818 - says what it is of
    """A promise was broken; the text says which."""


def hold(promise: bool, says: str) -> None:
    """Raise `Violation` unless the promise is kept."""
    if not promise:
        raise Violation(says)
