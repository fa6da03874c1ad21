"""Tests mirror the source: a module with code has its test file, a test file has its module."""

import ast
import tomllib
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, TESTS, functions, python_files, relative

UNIT = TESTS / "unit"
# Revisions are run, up and down, by the test of the schema; Alembic names and loads them by path.
EXEMPT_FOLDERS = (PACKAGE / "stores" / "migrations",)


def has_code(path: Path) -> bool:
    """Tell whether a module does anything; values, errors and Protocols only say something."""
    return any(does_something(statement) for node in functions(path) for statement in node.body)


def does_something(statement: ast.stmt) -> bool:
    """Tell whether a statement is more than a docstring, `...` or `pass`."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return False
        case _:
            return True


def exempt(path: Path) -> bool:
    """Tell whether a module needs no test file of its own."""
    return (
        path.name == "__init__.py"
        or any(path.is_relative_to(folder) for folder in EXEMPT_FOLDERS)
        or not has_code(path)
    )


def paired_test(path: Path) -> Path:
    """Return where the test of a module belongs."""
    return (UNIT / path.relative_to(PACKAGE)).with_name(f"test_{path.name}")


def test_every_module_with_code_has_its_test_file() -> None:
    alone = [
        f"{relative(path)} has no {relative(paired_test(path))}"
        for path in python_files(PACKAGE)
        if not exempt(path) and not paired_test(path).exists()
    ]
    assert alone == []


def test_every_unit_test_file_has_its_module() -> None:
    orphans = []
    for path in python_files(UNIT):
        if not path.name.startswith("test_"):
            continue
        module = PACKAGE / path.relative_to(UNIT).with_name(path.name.removeprefix("test_"))
        package = module.with_suffix("") / "__init__.py"
        if not module.exists() and not package.exists():
            orphans.append(relative(path))
    assert orphans == []


def test_every_test_file_tests_something() -> None:
    empty = [
        relative(path)
        for path in python_files(TESTS)
        if path.name.startswith("test_") and "def test_" not in path.read_text(encoding="utf-8")
    ]
    assert empty == []


def test_every_folder_with_tests_is_run() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = {ROOT / name for name in options["tool"]["pytest"]["ini_options"]["testpaths"]}
    left_out = {
        relative(TESTS / path.relative_to(TESTS).parts[0])
        for path in python_files(TESTS)
        if path.name.startswith("test_") and not run & set(path.parents)
    }
    assert left_out == set()
