"""What users hold on to is written down: every setting, every command, every reply."""

import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from typer.main import get_command

from tests.house.source import ROOT

SETTINGS_FILE = ROOT / "config" / "smime-proxy.toml"
COMMANDS = ROOT / "docs" / "commands.md"
PARTNERS = ROOT / "docs" / "partners.md"
REPLIES = ROOT / "docs" / "replies.md"
# A documented table or key: as it would be written, behind `# ` where only the default is shown.
WRITTEN = re.compile(r"^(?:# )?(\[[a-z0-9_.]+(?:\.\"[^\"]+\")?\]$|[a-z_0-9]+ = )")


@cache
def settings_lines() -> tuple[str, ...]:
    """Return the lines of the documented settings."""
    assert SETTINGS_FILE.exists(), "config/smime-proxy.toml documents every setting"
    return tuple(SETTINGS_FILE.read_text(encoding="utf-8").splitlines())


@cache
def documented() -> dict[str, Any]:
    """Return what the documented settings say with every default written out."""
    written = [line.removeprefix("# ") for line in settings_lines() if WRITTEN.match(line)]
    return tomllib.loads("\n".join(written))


def settings_model() -> type[BaseModel]:
    """Return the model of the settings."""
    model: type[BaseModel] = import_module("smime_proxy.settings").Settings
    assert issubclass(model, BaseModel)
    return model


def nested_models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models an annotation speaks of: itself, or inside tables and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from nested_models(argument)


def nested_values(annotation: object) -> Iterator[str]:
    """Yield the values of the enums an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(one.value) for one in annotation)
    for argument in getattr(annotation, "__args__", ()):
        yield from nested_values(argument)


def named_by_users(annotation: object) -> bool:
    """Tell whether a table holds tables under names of the user's own."""
    return not isinstance(annotation, type)


def model_keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield every key that holds a value; `*` stands for a name of the user's own."""
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        inner = list(nested_models(field.annotation))
        if not inner:
            yield here
        for each in inner:
            yield from model_keys(each, f"{here}{'.*' * named_by_users(field.annotation)}.")


def documented_keys(tables: dict[str, Any], model: type[BaseModel], path: str = "") -> set[str]:
    """Return the documented keys, written as `model_keys` writes them."""
    found: set[str] = set()
    for name, value in tables.items():
        field = model.model_fields.get(name)
        inner = next(nested_models(field.annotation), None) if field else None
        if field is None or inner is None:
            found.add(f"{path}{name}")
        elif named_by_users(field.annotation):
            for table in value.values():
                found |= documented_keys(table, inner, f"{path}{name}.*.")
        else:
            found |= documented_keys(value, inner, f"{path}{name}.")
    return found


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    model = settings_model()
    assert documented_keys(documented(), model) == set(model_keys(model))


def test_every_setting_has_a_sentence_above_it() -> None:
    lines = settings_lines()
    bare, explained = [], False
    seen: set[str] = set()
    for line in lines:
        key = WRITTEN.match(line)
        if key is None:
            explained = line.startswith("#")  # holds for the keys that follow directly
        elif not explained and key[1] not in seen and not key[1].startswith("["):
            bare.append(line)
        if key:
            seen.add(key[1])
    assert bare == []


def test_the_settings_file_as_shipped_loads_to_the_defaults() -> None:
    model = settings_model()
    shipped = model.model_validate(tomllib.loads("\n".join(settings_lines())))
    assert shipped.model_dump() == model().model_dump()


def test_the_defaults_shown_are_the_defaults() -> None:
    model = settings_model()
    shown = model.model_validate(documented())
    for name, field in model.model_fields.items():
        if not named_by_users(field.annotation):
            examples = {"ldap"}  # tables of the user's own that are shown below another one
            said = getattr(shown, name).model_dump(exclude=examples)
            assert said == getattr(model(), name).model_dump(exclude=examples), f"[{name}]"


def test_the_example_of_a_partners_demands_is_what_its_words_say() -> None:
    text = PARTNERS.read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    partners = (
        settings_model().model_validate(tomllib.loads(block)).model_dump(mode="json")["partners"]
    )
    strict = {
        "sign": "always",
        "encrypt": "required",
        "signature": "rsassa_pss",
        "key_transport": "rsaes_oaep",
    }
    for found in partners.values():
        assert strict.items() <= found.items()
    assert None not in partners["edifact@netz.example"].values()


def test_every_key_of_a_partner_and_every_value_is_explained() -> None:
    text = PARTNERS.read_text(encoding="utf-8")
    table = next(nested_models(settings_model().model_fields["partners"].annotation))
    named = [f"`{name}`" for name in table.model_fields]
    for field in table.model_fields.values():
        named += [f"`{value}`" for value in nested_values(field.annotation)]
    assert "`aes256_gcm`" in named
    own = {"`always`", "`on_request`", "`never`", "`required`", "`when_possible`"}  # of [policy]
    assert [name for name in named if name not in text and name not in own] == []


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command as it is typed, through all groups."""
    if not hasattr(command, "list_commands"):
        yield " ".join(path)
        return
    for name in command.list_commands(None):
        yield from commands(command.get_command(None, name), (*path, name))


def command_line() -> typer.Typer:
    """Return the command line application."""
    root: typer.Typer = import_module("smime_proxy.admin.cli.program").root
    return root


def test_every_command_is_documented() -> None:
    assert COMMANDS.exists(), "docs/commands.md documents every command"
    text = COMMANDS.read_text(encoding="utf-8")
    absent = [name for name in commands(get_command(command_line())) if f"`{name}" not in text]
    assert absent == []


def reply_rows() -> dict[str, tuple[str, str]]:
    """Return the table of docs/replies.md: situation to code and enhanced status code."""
    assert REPLIES.exists(), "docs/replies.md documents every reply"
    rows = {}
    for line in REPLIES.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        row = re.match(r"(\d{3}) ?(\d\.\d+\.\d+)?", " ".join(cells[1:3]).replace("`", ""))
        if line.lstrip().startswith("|") and row:
            rows[cells[0]] = (row[1], row[2] or "")
    return rows


@cache
def replies() -> dict[str, tuple[str, str]]:
    """Return the table of the program: situation to code and enhanced status code."""
    table = import_module("smime_proxy.gateway.replies").REPLIES
    return {
        name: (str(reply.code), f"{reply.code // 100}.{reply.subject}.{reply.detail}")
        for name, reply in table.items()
    }


def test_every_reply_is_documented_with_its_code_and_status() -> None:
    documented = reply_rows()
    assert {name: documented.get(name) for name in replies()} == replies()


def test_no_reply_is_documented_that_the_program_does_not_give() -> None:
    assert set(reply_rows()) - set(replies()) == set()


@pytest.mark.parametrize("language", ["ENGLISH", "GERMAN"])
def test_every_reply_is_documented_with_what_it_says_in_each_language(language: str) -> None:
    wording = import_module("smime_proxy.gateway.wording").Wording()
    texts = import_module("smime_proxy.gateway.texts").Language[language]
    english, _, german = REPLIES.read_text(encoding="utf-8").partition("## In German")
    part = german if language == "GERMAN" else english
    rows = {row.split("|")[1].strip(" `"): row for row in part.splitlines() if row.startswith("|")}
    said = {name: wording.advice(name, texts) for name in replies()}
    assert {name for name, text in said.items() if f"| {text} |" not in rows.get(name, "")} == set()


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"])
def test_the_documents_people_look_for_are_there(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").startswith("# ")
