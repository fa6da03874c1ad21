"""docs/logging.md names every event of the program, and no other."""

import ast
from collections.abc import Iterator

from smime_proxy.stores.notes import CapabilityNotes, KeyNotes
from tests.house.source import PACKAGE, ROOT, python_files

LEVELS = {"exception": "error"} | {name: name for name in ("debug", "info", "warning", "error")}


def logged(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield event and level of every call of a logger in one module."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=level), args=[event]) if (
                level in LEVELS and ast.unparse(owner).endswith("_log")
            ):
                for name in texts(event, tree):
                    yield name, LEVELS[level]


def texts(event: ast.expr, tree: ast.Module) -> list[str]:
    """Give what an event may be: itself, or what the calls of the function around it say."""
    match event:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(rest))]):
            return [f"{kind.subject}{rest}" for kind in (CapabilityNotes, KeyNotes)]
        case ast.Name(id="event"):
            return [
                text
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._log_lost"
                for text in texts(node.args[0], tree)
            ]
    raise AssertionError(ast.unparse(event))


def test_every_event_is_documented_with_its_level_and_no_other() -> None:
    found: dict[str, set[str]] = {}
    for path in python_files(PACKAGE):
        for name, level in logged(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(name, set()).add(level)
    text = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8").partition("## Events")[2]
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    documented = {name.strip(" `"): set(levels.strip().split(", ")) for name, levels in rows}
    assert len(found) > 50
    assert documented == found
