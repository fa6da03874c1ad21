from collections.abc import Callable

import pytest

from smime_proxy.admin.cli.adapters import Adapters
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.program import run
from smime_proxy.settings import Settings

from .conftest import Cli


@pytest.mark.parametrize("code", [0, 1])
def test_the_services_code_is_the_commands(empty: Cli, code: int) -> None:
    seen: list[Settings] = []

    def serve(settings: Settings, load: Callable[[], Settings]) -> int:
        seen.append(settings)
        broken = empty.settings.read_text().partition("[listeners")[0]
        assert load() == settings
        empty.settings.write_text(broken)
        with pytest.raises(CommandError, match="listeners: there is none"):
            load()
        return code

    built = Adapters(None, None, serve, None, None, None)  # type: ignore[arg-type]
    line = ["--config", str(empty.settings), "serve"]
    assert run(line, empty.environment, lambda: built) == code
    assert seen[0].service.hostname == "mail.example.test"


def test_without_a_listener_it_does_not_run(empty: Cli) -> None:
    empty.settings.write_text(empty.settings.read_text().partition("[listeners")[0])
    assert "listeners: there is none" in empty.refused("serve")
