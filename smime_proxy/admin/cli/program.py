"""The root of the command line: its options, its table of commands, its exit codes.

Only the module of the command that was typed is imported, so that `--help` and `serve` are quick.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from smime_proxy import __version__
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.certs.errors import CertificateError
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.stores.errors import StoreError

NAME = "smime-proxy"
FAILED = 1

COMMANDS = {  # name: (module, line in the table of commands)
    "serve": ("serve", "run the service"),
    "check-config": ("check_config", "say what is wrong with the settings, print those in effect"),
    "healthcheck": ("healthcheck", "exit 0 when the local service is ready"),
    "account": ("account", "accounts, their policy and their keys"),
    "cert": ("cert", "partner certificates"),
    "trust": ("trust", "trust anchors for S/MIME"),
    "ca": ("ca", "the built-in certificate authority"),
    "inspect": ("inspect", "say what a message is: layers, signers, recipients, verdicts"),
    "explain": ("explain", "say which rule decides what for each recipient"),
    "doctor": ("doctor", "look for what will hurt, and say what to do"),
    "backup": ("backup", "write everything in the store into one encrypted file"),
    "restore": ("restore", "fill the store with what a backup holds"),
    "store": ("store", "the store's schema"),
    "token": ("token", "the token private keys may lie on"),
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """What every command starts from; `adapters` makes what the composition root builds."""

    config: Path | None
    environment: Mapping[str, str]
    adapters: Callable[[], Any]


class CommandTable(TyperGroup):
    """The commands by name; a command's module is imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"smime_proxy.admin.cli.{COMMANDS[cmd_name][0]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table without importing a module."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def noun(line: str = "") -> typer.Typer:
    """Make the commands of one noun; without a line it is a command by itself."""
    return typer.Typer(
        help=line or None,
        no_args_is_help=bool(line),
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


root = typer.Typer(
    name=NAME,
    cls=CommandTable,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@root.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings; else SMIME_PROXY_CONFIG, else /etc/smime-proxy/smime-proxy.toml.",
            readable=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Sign, encrypt, decrypt and verify an organisation's mail with S/MIME."""
    del version
    environment, adapters = context.obj
    context.obj = Invocation(config, environment, adapters)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], adapters: Callable[[], Any]
) -> int:
    """Run one command line and give its exit code: 0 done, 1 refused or failed, 2 usage.

    Failures are one line on standard error (settings: one a fault), without a traceback.
    """
    try:
        command = typer.main.get_command(root)
        result = command.main(
            list(arguments), prog_name=NAME, standalone_mode=True, obj=(environment, adapters)
        )
    except SystemExit as end:
        return _code(end.code)
    except (CommandError, StoreError, CertificateError, KeyUnavailable) as error:
        _say(str(error))
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    else:
        return _code(result)
    return FAILED


def _code(code: Any) -> int:
    return code if isinstance(code, int) else 0 if code is None else FAILED


def _say(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"{NAME}: {line}\n")
