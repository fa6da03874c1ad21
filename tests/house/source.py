"""The project as the house rules see it: its files, its modules, their syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "smime_proxy"
TESTS = ROOT / "tests"


def python_files(*folders: Path) -> list[Path]:
    """Return all Python files below the folders, sorted."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def relative(path: Path) -> str:
    """Return a path as people name it, from the top of the project."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_bytes(), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, methods and nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(node: ast.AST, path: Path) -> list[str]:
    """Return the full names a statement imports; empty for what is no import."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            parts = relative(path).removesuffix(".py").split("/")
            origin = ".".join([*parts[: len(parts) - level], *([module] if module else [])])
            start = origin if level else (module or "")
            return [start, *(f"{start}.{alias.name}" for alias in names)]
        case _:
            return []


def project_files() -> list[Path]:
    """Return the files that are or would be committed; everything readable where git is absent."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    hidden = {".git", ".venv", "var", "dist", "build"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not hidden & set(path.relative_to(ROOT).parts)
    ]
