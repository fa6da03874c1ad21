"""Regular expressions hold nothing that a supported Python gets wrong.

CPython before 3.11.5 (Debian 12 has 3.11.2) matches possessive groups falsely or raises
SystemError (gh-101955, gh-106052); a possessive repeat of one character set is sound everywhere.
"""

import ast
import re

from tests.house.source import PACKAGE, python_files, relative

POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")


def test_no_pattern_repeats_a_group_possessively() -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | bytes)
        and POSSESSIVE_GROUP.search(
            node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        )
    ]
    assert found == []


def test_the_rule_bites() -> None:
    for pattern in (r"(?:a|b)*+", r"(a)?+", r"(?:ab){0,3}+", r"(?>ab)"):
        assert POSSESSIVE_GROUP.search(pattern)
    for pattern in (r"[ab]*+", r"a++(?:b)*", r"\)+"):
        assert not POSSESSIVE_GROUP.search(pattern)
