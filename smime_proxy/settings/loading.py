"""Loads the settings from all their sources and reports every fault at once.

Precedence, highest first: command line, environment, secrets, file, defaults.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from smime_proxy.settings.checks import check
from smime_proxy.settings.errors import Fault, KeyPath, SettingsError
from smime_proxy.settings.model import Settings
from smime_proxy.settings.sources import (
    Tree,
    environment_variables,
    find_file,
    lay_over,
    read_file,
    secret_variables,
)

LATER = {  # keys of the documented format that this version does not serve
    ("domains", "*", "harvest"): "not supported in this version",
    ("domains", "*", "unwrap"): "not supported in this version",
}


def load(argument: Path | None, environment: Mapping[str, str]) -> Settings:
    """Load and check the settings; `argument` is the file named on the command line.

    Files that settings name are not opened here; `smime_proxy.settings.checks.check_files` does.
    Raises `SettingsError` with every fault found.
    """
    path = find_file(argument, environment)
    tree = read_file(path) if path else {}
    origins: dict[KeyPath, str] = {}
    faults: list[Fault] = []
    for variables in (secret_variables(environment), environment_variables(environment)):
        set_here, unknown = lay_over(tree, variables)
        origins |= set_here
        faults += unknown
    settings, found = validate(tree)
    faults += [Fault(fault.path, fault.text, _origin(fault.path, origins)) for fault in found]
    if faults or settings is None:
        raise SettingsError(faults)
    return settings


def validate(tree: Tree) -> tuple[Settings | None, list[Fault]]:
    """Turn a tree of tables into settings; with faults, what is returned leaves out their keys."""
    # No path, name or password has one; the calls of the system raise for it, far from here.
    if found := [Fault(path, "must not hold a NUL character") for path in _with_nul(tree)]:
        return None, found
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        return _validate_rest(tree, error)
    return settings, check(settings)


def _with_nul(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Find the keys whose text, or a text of whose list, or whose own name has a NUL."""
    match value:
        case dict():
            for key, below in value.items():
                yield from _with_nul(below, (*path, key)) if "\0" not in key else iter([path])
        case list():
            for one in value:
                yield from _with_nul(one, path)
        case str() if "\0" in value:
            yield path


def _validate_rest(tree: Tree, error: ValidationError) -> tuple[Settings | None, list[Fault]]:
    """Check what is left without the faulty keys, so that one run names as much as it can."""
    faults = [_fault(entry["loc"], entry) for entry in error.errors(include_url=False)]
    paths = [fault.path for fault in faults]
    try:
        settings = Settings.model_validate(_without(tree, (), paths))
    except ValidationError:
        return None, faults
    return settings, faults + [
        fault for fault in check(settings) if not any(_related(fault.path, path) for path in paths)
    ]


def _fault(location: Sequence[int | str], entry: Mapping[str, Any]) -> Fault:
    path = tuple(str(part) for part in location if part != "[key]" and not isinstance(part, int))
    given = entry["input"]
    match entry["type"]:
        case "extra_forbidden":
            text = _later(path) or "unknown key"
        case "missing":
            text = "must be set"
        case "value_error":
            text = str(entry["ctx"]["error"])
        case "enum":
            text = f"must be {entry['ctx']['expected'].replace(chr(39), '')}, not {given!r}"
        case "string_pattern_mismatch" | "string_too_long":
            text = f"must be short and of letters, digits and hyphens, not {given!r}"
        case "model_type" | "dict_type":
            text = "must be a table"
        case _:
            text = f"{_lower(entry['msg'])}, not {given!r}"
    return Fault(path, text)


def _lower(message: str) -> str:
    return "must be " + message.removeprefix("Input should be ")


def _later(path: KeyPath) -> str:
    for pattern, text in LATER.items():
        if len(pattern) == len(path) and all(
            wanted in ("*", part) for wanted, part in zip(pattern, path, strict=True)
        ):
            return text
    return ""


def _without(tree: Tree, path: KeyPath, faulty: Sequence[KeyPath]) -> Tree:
    return {
        key: _without(value, (*path, key), faulty) if isinstance(value, dict) else value
        for key, value in tree.items()
        if (*path, key) not in faulty
    }


def _related(one: KeyPath, other: KeyPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _origin(path: KeyPath, origins: Mapping[KeyPath, str]) -> str:
    return next((origin for set_, origin in origins.items() if _related(path, set_)), "")
