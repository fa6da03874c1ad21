from pathlib import Path
from typing import Any

import pytest

from smime_proxy.settings.errors import SettingsError
from smime_proxy.settings.sources import (
    Variable,
    environment_variables,
    find_file,
    lay_over,
    read_file,
    secret_variables,
)


def laid(tree: dict[str, Any], **variables: str) -> tuple[dict[str, Any], list[str]]:
    named = [Variable(f"SMIME_PROXY_{name}", value, "test") for name, value in variables.items()]
    _, faults = lay_over(tree, named)
    return tree, [str(fault) for fault in faults]


def test_the_argument_names_the_file_before_the_variable(tmp_path: Path) -> None:
    environment = {"SMIME_PROXY_CONFIG": "/from/variable"}
    assert find_file(tmp_path, environment) == tmp_path
    assert find_file(None, environment) == Path("/from/variable")


def test_a_variable_sets_a_key_of_a_table() -> None:
    tree, faults = laid({}, SERVICE__WORKERS="2", POLICY__SUBJECT_WORDS__SIGN="")
    assert tree == {"service": {"workers": "2"}, "policy": {"subject_words": {"sign": ""}}}
    assert faults == []


def test_names_of_listeners_match_without_regard_to_case() -> None:
    tree = {"listeners": {"My-Relay": {"bind": "a:1"}}}
    tree, _ = laid(tree, LISTENERS__MY_RELAY__BIND="b:2", UPSTREAMS__NEW__URL="u")
    assert tree["listeners"] == {"My-Relay": {"bind": "b:2"}}
    assert tree["upstreams"] == {"new": {"url": "u"}}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SERVICE__HOSTNAM", "names no key"),
        ("NOTHING__AT_ALL", "names no key"),
        ("SERVICE__WORKERS__MORE", "names no key"),
        ("LISTENERS__MX__BINT", "names no key"),
        ("DOMAINS__EXAMPLE__SIGN", "names no key"),
        ("POLICY__SUBJECT_WORDS", "names a table"),
        ("LISTENERS__MX", "names a table"),
    ],
)
def test_a_variable_that_names_no_key_is_a_fault(name: str, reason: str) -> None:
    tree, faults = laid({}, **{name: "x"})
    assert tree == {}
    assert len(faults) == 1
    assert faults[0].startswith(f"SMIME_PROXY_{name}: {reason}")


def test_variables_that_others_make_are_left_alone() -> None:
    tree, faults = laid({}, PORT_25_TCP="tcp://10.0.0.1:25", SERVICE_HOST="10.0.0.1")
    assert (tree, faults) == ({}, [])


def test_tables_with_quoted_names_come_whole_as_json() -> None:
    tree: dict[str, Any] = {"partners": {"a.example": {"sign": "never"}}}
    tree, faults = laid(tree, PARTNERS='{"a.example": {"encrypt": "required"}, "b.example": {}}')
    assert tree["partners"] == {
        "a.example": {"sign": "never", "encrypt": "required"},
        "b.example": {},
    }
    assert faults == []


@pytest.mark.parametrize("value", ["", "[]", "{", "hunter2"])
def test_a_table_that_is_no_json_object_is_a_fault_that_does_not_show_it(value: str) -> None:
    _, faults = laid({}, PARTNERS=value)
    assert faults == ["SMIME_PROXY_PARTNERS: must be a JSON object (from test)"]


def test_variables_without_our_prefix_and_those_naming_sources_are_not_settings() -> None:
    names = {"PATH": "", "SMIME_PROXY_CONFIG": "", "SMIME_PROXY_SECRETS": "", "SMIME_PROXY_X": "1"}
    assert [variable.name for variable in environment_variables(names)] == ["SMIME_PROXY_X"]


def test_secrets_are_files_named_like_the_variables(tmp_path: Path) -> None:
    (tmp_path / "smime_proxy_service__hostname").write_text("mx.example\n")
    (tmp_path / "other").write_text("ignored")
    (tmp_path / "SMIME_PROXY_DIRECTORY").mkdir()
    found = secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path)})
    assert [(one.name, one.value) for one in found] == [
        ("SMIME_PROXY_SERVICE__HOSTNAME", "mx.example")
    ]


def test_a_named_directory_of_secrets_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path / "none")})


def test_a_secret_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SMIME_PROXY_SERVICE__HOSTNAME").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="not UTF-8"):
        secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path)})


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"[service\n", "line 1"), (b"\xff", "not UTF-8"), (b"#" * (4 * 1024**2 + 1), "larger")],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=reason) as caught:
        read_file(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_file(tmp_path / "none.toml")
