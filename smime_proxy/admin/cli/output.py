"""What commands print: one JSON document, or a table and lines for people.

RFC 8259 (JSON); times are ISO 8601 in UTC.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer


def emit_json(value: Any) -> None:
    """Print one JSON document; dataclasses are objects, times are ISO 8601."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Turn views into what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def emit_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings, each column as wide as its widest cell; nothing without rows."""
    if not rows:
        return
    cells = [[_cell(cell) for cell in row] for row in rows]
    lines = [[heading.upper() for heading in headings], *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        typer.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def emit_fields(view: Any) -> None:
    """Print a view as `name: value` lines; empty values are left out, inner views join in."""
    for field in dataclasses.fields(view):
        value = getattr(view, field.name)
        if dataclasses.is_dataclass(value):
            emit_fields(value)
        elif (text := _cell(value)) != "":
            typer.echo(f"{field.name.replace('_', ' ')}: {text}")


def tell(text: str) -> None:
    """Tell the person what was done, on standard output."""
    typer.echo(_printable(text))


def say(text: str) -> None:
    """Tell the person something that is not the output, on standard error."""
    typer.echo(_printable(text), file=sys.stderr)


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return ""
        case list() | tuple():
            return ", ".join(_cell(item) for item in value)
        case dict():
            return "; ".join(f"{name}: {_cell(item)}" for name, item in value.items())
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}Z"
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    """Make control characters visible: what strangers wrote must not steer the terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
