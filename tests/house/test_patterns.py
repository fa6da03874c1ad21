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


# What would put mail, or a key, into a file that nobody asked for (invariant I5).
TEMPORARY = {"tempfile", "memfd_create", "SpooledTemporaryFile", "mkstemp", "mkdtemp"}


def test_nothing_is_written_to_temporary_files() -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr | ast.stmt) and TEMPORARY & set(_names(node))
    ]
    assert found == []


def _names(node: ast.AST) -> list[str]:
    """Give the names an import or an expression speaks of."""
    match node:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            return [*module, *(alias.name for alias in names)]
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return [name]
        case _:
            return []
