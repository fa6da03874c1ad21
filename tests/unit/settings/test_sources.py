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
        ("DOMAINS__EXAMPLE__SIGN", "names no key; [domains] comes whole, as JSON"),
        ("ACCOUNTS__X__KEY_FILE", "names no key; [accounts] comes whole, as JSON"),
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
    # Kubernetes makes them of Services named smime-proxy and smime-proxy-status.
    for service in ("", "STATUS_", "ACCOUNTS_", "CONFIG_", "LISTENERS_"):
        for port in ("2525", "8026"):
            _, faults = laid(
                {},
                **{
                    f"{service}SERVICE_HOST": "10.0.0.1",
                    f"{service}SERVICE_PORT": port,
                    f"{service}SERVICE_PORT_SMTP": port,
                    f"{service}PORT": f"tcp://10.0.0.1:{port}",
                    f"{service}PORT_{port}_TCP": f"tcp://10.0.0.1:{port}",
                    f"{service}PORT_{port}_TCP_PROTO": "tcp",
                    f"{service}PORT_{port}_TCP_PORT": port,
                    f"{service}PORT_{port}_TCP_ADDR": "10.0.0.1",
                },
            )
            assert faults == []


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


def test_tables_under_names_of_ones_own_inside_others_come_as_json_too() -> None:
    tree: dict[str, Any] = {"listeners": {"mx": {"require_header": {"x-a": ["1"]}}}}
    tree, faults = laid(
        tree,
        LISTENERS__MX__REQUIRE_HEADER='{"x-b": ["2"]}',
        DISCOVERY__LDAP='{"corp": {"url": "ldaps://ldap.example"}}',
    )
    assert tree["listeners"]["mx"]["require_header"] == {"x-a": ["1"], "x-b": ["2"]}
    assert tree["discovery"] == {"ldap": {"corp": {"url": "ldaps://ldap.example"}}}
    assert faults == []


def test_an_empty_table_takes_nothing_away() -> None:
    tree, faults = laid({"accounts": {"a@b.c": {"key_file": "/x"}}}, ACCOUNTS='{"a@b.c": {}}')
    assert tree == {"accounts": {"a@b.c": {"key_file": "/x"}}}
    assert laid(tree, ACCOUNTS="{}") == (tree, faults)


def test_a_name_that_json_has_twice_is_a_fault_as_in_toml() -> None:
    _, faults = laid({}, ACCOUNTS='{"a@b.c": {"key_file": "/x", "key_file": "/y"}}')
    assert faults == ["SMIME_PROXY_ACCOUNTS: holds 'key_file' twice (from test)"]


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


def test_secrets_of_kubernetes_are_links_into_a_directory_of_dots(tmp_path: Path) -> None:
    data = tmp_path / "..2026_11_27"
    data.mkdir()
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / ".SMIME_PROXY_SERVICE__WORKERS.swp").write_text("x")
    for name, raw in {
        "SMIME_PROXY_ACCOUNTS": b'\xef\xbb\xbf{"a@b.c": {\r\n"key_file": "/x"}}\r\n',
        "invoices.p12": b"\x30",
    }.items():
        (data / name).write_bytes(raw)
        (tmp_path / name).symlink_to(f"..data/{name}")
    (found,) = secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path)})
    tree: dict[str, Any] = {}
    assert lay_over(tree, [found])[1] == []
    assert tree == {"accounts": {"a@b.c": {"key_file": "/x"}}}


def test_a_secret_that_is_not_there_behind_its_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SMIME_PROXY_ACCOUNTS").symlink_to("..data/SMIME_PROXY_ACCOUNTS")
    with pytest.raises(SettingsError, match="SMIME_PROXY_ACCOUNTS: No such file"):
        secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path)})


def test_a_named_directory_of_secrets_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path / "none")})


def test_a_secret_that_is_no_text_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "SMIME_PROXY_SERVICE__HOSTNAME"
    for raw, reason in ((b"\xff", "not UTF-8"), (b"x" * (4 * 1024**2 + 1), "larger")):
        secret.write_bytes(raw)
        with pytest.raises(SettingsError, match=reason) as caught:
            secret_variables({"SMIME_PROXY_SECRETS": str(tmp_path)})
        assert str(secret) in str(caught.value)


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


def test_a_mark_at_the_start_and_line_ends_of_windows_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b'\xef\xbb\xbf[service]\r\nhostname = "a.example"\r\n')
    assert read_file(path) == {"service": {"hostname": "a.example"}}
