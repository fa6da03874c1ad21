"""Where settings come from: the file, the environment, a directory of secrets.

TOML 1.0 for the file; systemd's and Docker's habit of one file a secret for the directory.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from smime_proxy.settings.errors import Fault, SettingsError
from smime_proxy.settings.model import Settings

PREFIX = "SMIME_PROXY_"
DEFAULT_FILE = Path("/etc/smime-proxy/smime-proxy.toml")
DEFAULT_SECRETS = Path("/run/secrets")
FILE_VARIABLE = "SMIME_PROXY_CONFIG"
SECRETS_VARIABLE = "SMIME_PROXY_SECRETS"
MAX_FILE = 4 * 1024**2  # octets; thousands of partners fit, a wrong file does not
# Their names fit a variable, so their keys do too.
NAMED_TABLES = (("upstreams",), ("listeners",), ("discovery", "ldap"))
JSON_TABLES = ("accounts", "domains", "listeners", "partners", "upstreams")

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Variable:
    """One value by name, from the environment or a file in the directory of secrets."""

    name: str
    value: str
    origin: str


def find_file(argument: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Choose the settings file: the argument, SMIME_PROXY_CONFIG, or the default if it is there.

    None when no file was named and the default does not exist.
    """
    named = argument or environment.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def read_file(path: Path) -> Tree:
    """Read a TOML file; raises `SettingsError` when it cannot be read or is no TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise SettingsError([Fault((), f"{path}: larger than {MAX_FILE} octets")])
        return tomllib.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError([Fault((), f"{path}: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise SettingsError([Fault((), f"{path}: not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([Fault((), f"{path}: {error}")]) from None


def environment_variables(environment: Mapping[str, str]) -> list[Variable]:
    """Give the variables with our prefix that can mean a setting."""
    return [
        Variable(name, value, name)
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and name not in {FILE_VARIABLE, SECRETS_VARIABLE}
    ]


def secret_variables(environment: Mapping[str, str]) -> list[Variable]:
    """Read the files of the directory of secrets that are named like our variables.

    Raises `SettingsError` when a directory named by SMIME_PROXY_SECRETS, or a file in it, cannot
    be read.
    """
    named = environment.get(SECRETS_VARIABLE)
    directory = Path(named) if named else DEFAULT_SECRETS
    if not named and not directory.is_dir():
        return []
    try:
        return [
            Variable(path.name.upper(), _read_secret(path), str(path))
            for path in sorted(directory.iterdir())
            if path.name.upper().startswith(PREFIX) and not path.is_dir()
        ]
    except OSError as error:
        raise SettingsError([Fault((), f"{error.filename}: {error.strerror}")]) from None


def lay_over(
    tree: Tree, variables: list[Variable]
) -> tuple[dict[tuple[str, ...], str], list[Fault]]:
    """Set the keys that variables name in `tree`, in place.

    Returns the origin of every path set, and a fault for each variable that names no key.
    Variables without `__` that are no table's name are somebody else's.
    """
    origins: dict[tuple[str, ...], str] = {}
    faults: list[Fault] = []
    for variable in variables:
        try:
            for path, value in _assignments(variable, tree):
                if value != {} or not isinstance(_below(tree, path), dict):
                    _set(tree, path, value)
                origins[path] = variable.origin
        except ValueError as error:
            faults.append(Fault((), f"{variable.name}: {error}", _beyond(variable)))
    return origins, faults


def _assignments(variable: Variable, tree: Tree) -> Iterator[tuple[tuple[str, ...], Any]]:
    parts = variable.name.removeprefix(PREFIX).lower().split("__")
    if len(parts) == 1:
        if parts[0] in JSON_TABLES:
            yield from _leaves((parts[0],), _read_json(variable.value))
        return
    path, is_table = _path(parts, tree)
    if is_table:
        yield from _leaves(path, _read_json(variable.value))
    else:
        yield path, variable.value


def _path(parts: list[str], tree: Tree) -> tuple[tuple[str, ...], bool]:
    """Find the path a variable names, and whether it is a table under names of the user's own.

    Names in tables are matched without regard to case.
    """
    model: Any = Settings
    path: list[str] = []
    while parts:
        fields = model.model_fields if hasattr(model, "model_fields") else {}
        if (field := fields.get(parts[0])) is None:
            whole = f"; [{path[0]}] comes whole, as JSON" if path and path[0] in JSON_TABLES else ""
            raise ValueError(f"names no key{whole}")
        path.append(parts.pop(0))
        model = field.annotation
        if tuple(path) in NAMED_TABLES and parts:
            path.append(_known_name(parts.pop(0), _below(tree, path)))
            model = model.__args__[1]
    if hasattr(model, "model_fields"):
        raise ValueError("names a table, not a key")
    return tuple(path), get_origin(model) is dict


def _below(tree: Any, path: Sequence[str]) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _known_name(part: str, table: Any) -> str:
    names = table if isinstance(table, Mapping) else {}
    return next((name for name in names if name.lower().replace("-", "_") == part), part)


def _read_json(text: str) -> Tree:
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - a fault of the value, as others
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> Tree:
    """Make a table of what JSON has; a name that is there twice is an error, as in TOML."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"holds {next(one for one in names if names.count(one) > 1)!r} twice")
    return table


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves((*path, key), below)
    else:
        yield path, value


def _set(tree: MutableMapping[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _read_secret(path: Path) -> str:
    """Read a file without its last line end; raises `SettingsError` for what is no such text."""
    with path.open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise SettingsError([Fault((), f"{path}: larger than {MAX_FILE} octets")])
    try:
        # Editors of Windows begin a file with a mark.
        return raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError([Fault((), f"{path}: not UTF-8 text")]) from None


def _beyond(variable: Variable) -> str:
    """Give the origin where the name alone does not tell it."""
    return "" if variable.origin == variable.name else variable.origin
