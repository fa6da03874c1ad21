"""Imports stand at the top of a file, and core packages import nothing that talks to the world."""

import ast
from pathlib import Path

from tests.house.source import PACKAGE, functions, imported, python_files, relative, tree

CORE = ("message", "cms", "certs", "smime", "policy", "envelope.py", "address.py", "reply.py")
# What touches sockets, files of state, processes, the loop, the log, the web or the settings.
WORLD = {
    "aiohttp",
    "aiosmtpd",
    "aiosmtplib",
    "alembic",
    "asyncio",
    "fastapi",
    "http",
    "jinja2",
    "logging",
    "multiprocessing",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "select",
    "selectors",
    "smtplib",
    "smime_proxy.settings",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "starlette",
    "structlog",
    "subprocess",
    "threading",
    "typer",
    "urllib.request",
    "uvicorn",
}
# Time is an argument of the core: a verdict can be asked for any moment.
CLOCK_CALLS = {"now", "utcnow", "today", "time", "time_ns"}


def core_files() -> list[Path]:
    """Return the files of the core packages."""
    paths = [PACKAGE / name for name in CORE]
    return [path for path in paths if path.suffix == ".py" and path.exists()] + python_files(
        *(path for path in paths if path.is_dir())
    )


def test_core_packages_import_nothing_that_talks_to_the_world() -> None:
    reaching = [
        f"{relative(path)}:{node.lineno} {name}"
        for path in core_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node, path)
        if any(f"{name}.".startswith(f"{outside}.") for outside in WORLD)
    ]
    assert reaching == []


def test_core_packages_read_no_clock() -> None:
    clocks = [
        f"{relative(path)}:{node.lineno}"
        for path in core_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and reads_clock(node)
    ]
    assert clocks == []


def test_core_packages_await_nothing() -> None:
    awaiting = [
        f"{relative(path)}:{node.lineno}"
        for path in core_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert awaiting == []


def reads_clock(call: ast.Call) -> bool:
    """Tell whether a call is datetime.now, time.time or the like."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="datetime" | "date" | "time"), attr=attribute):
            return attribute in CLOCK_CALLS
        case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=attribute):
            return attribute in CLOCK_CALLS
        case _:
            return False


def test_no_function_imports_except_where_a_command_calls_its_implementation() -> None:
    late = [
        f"{relative(path)}:{inner.lineno}"
        for path in python_files(PACKAGE)
        if not path.is_relative_to(PACKAGE / "app") and not path.is_relative_to(PACKAGE / "admin")
        for function in functions(path)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert late == []


def test_no_relative_imports_leave_their_package() -> None:
    climbing = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level > 1
    ]
    assert climbing == []
