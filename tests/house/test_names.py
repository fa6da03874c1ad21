"""Modules are named after what they are, and open by saying what they are for."""

import ast
from pathlib import Path

from tests.house.source import PACKAGE, TESTS, python_files, relative, tree

# Words that name nothing: whatever lands there could have landed anywhere.
BANNED_WORDS = {
    "base",
    "common",
    "data",
    "helper",
    "helpers",
    "info",
    "manager",
    "misc",
    "processor",
    "util",
    "utils",
}


# The RFCs' own nouns, which only code about ASN.1 uses: SignedData, RecipientInfo, ContentInfo ...
ASN1_WORDS = {"data", "info"}


def test_no_module_or_package_is_named_after_nothing() -> None:
    nameless = [relative(path) for path in python_files(PACKAGE, TESTS) if banned_words(path)]
    assert nameless == []


def banned_words(path: Path) -> set[str]:
    """Return the words in a file's path that name nothing."""
    parts = relative(path).removesuffix(".py").split("/")
    name = parts[-1].removeprefix("test_")
    words = {word for part in [*parts[:-1], name] for word in part.split("_")}
    excused = ASN1_WORDS if "cms" in parts and "_" in name else set()
    return words & BANNED_WORDS - excused


def test_no_class_is_named_after_nothing() -> None:
    endings = ("Manager", "Helper", "Util", "Utils", "Processor", "Data", "Info", "Base")
    nameless = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in python_files(PACKAGE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(endings)
        and not (path.is_relative_to(PACKAGE / "cms") and node.name.endswith(("Data", "Info")))
    ]
    assert nameless == []


def test_every_module_opens_with_a_sentence() -> None:
    silent = [
        relative(path)
        for path in python_files(PACKAGE)
        if not (ast.get_docstring(tree(path)) or "").strip()
    ]
    assert silent == []
