import pytest
import typer

from smime_proxy.admin.cli.adapters import Adapters, act, adapters, settings
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.program import Invocation

from .conftest import Cli


class FakeContext:
    def __init__(self, invocation: Invocation) -> None:
        self.obj = invocation

    def find_root(self) -> "FakeContext":
        return self


def context(cli: Cli, **environment: str) -> typer.Context:
    built = Adapters(None, None, None, None, None, None)  # type: ignore[arg-type]
    invocation = Invocation(cli.settings, cli.environment | environment, lambda: built)
    return FakeContext(invocation)  # type: ignore[return-value]


def test_commands_get_what_the_composition_root_builds(empty: Cli) -> None:
    assert isinstance(adapters(context(empty)), Adapters)


def test_faults_of_the_settings_end_the_command(empty: Cli) -> None:
    assert settings(context(empty)).service.hostname == "mail.example.test"
    with pytest.raises(CommandError, match=r"service\.workers: must be"):
        settings(context(empty, SMIME_PROXY_SERVICE__WORKERS="x"))


def test_an_act_has_a_name_and_an_aware_time(empty: Cli) -> None:
    acting = act(context(empty))
    assert acting.who.startswith("cli:")
    assert acting.at.utcoffset() is not None


def test_a_store_that_cannot_be_opened_is_one_line(empty: Cli) -> None:
    empty.done("account", "list")
    (empty.state / "master.key").unlink()
    assert "master key" in empty.refused("account", "list")
    (empty.state / "master.key").write_text("A" * 43 + "=\n")
    assert "do not open with the master key" in empty.refused("account", "list")
