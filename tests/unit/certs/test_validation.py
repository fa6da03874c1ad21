"""The classes of validation are read off the policies that hold, the least of them."""

import pytest

from smime_proxy.certs.validation import Validation, validation_of


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ((), "unknown"),
        (("2.5.29.32.0", "1.2.3"), "unknown"),
        (("2.23.140.1.5.1.1",), "class1"),
        (("2.23.140.1.5.1.3", "1.2.3"), "class1"),
        (("2.23.140.1.5.2.2",), "class2"),
        (("2.23.140.1.5.3.1",), "class2"),
        (("2.23.140.1.5.4.3",), "class3"),
        (("2.23.140.1.5.4.3", "2.23.140.1.5.1.1"), "class1"),
        (("2.23.140.1.5.5.1",), "unknown"),
        (("2.23.140.1.5.14.1",), "unknown"),
        (("2.23.140.1.2.1",), "unknown"),
    ],
)
def test_a_policy_means_one_class(policies: tuple[str, ...], expected: str) -> None:
    assert validation_of(frozenset(policies)) is Validation(expected)
