"""`account password`: what a login proves itself with on listeners that have `auth = "local"`.

No RFC; passwords come by file or prompt, never on the command line.
"""

from typing import Annotated

import typer

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import PasswordFile
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import tell
from smime_proxy.stores import logins


def password(
    context: typer.Context,
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="As `account show` has it.")],
    *,
    password_file: PasswordFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="It can log in no more.")] = False,
) -> None:
    """Give a login its password, or take it away."""
    if remove and password_file:
        raise CommandError("--remove takes no --password-file")
    acting = act(context)
    given = "" if remove else _given(password_file, login)
    with opened_store(context) as store:
        if remove:
            logins.remove_password(store, acting, login)
        else:
            logins.set_password(store, acting, login, given)
    tell(f"{login}: {'has no password any more' if remove else 'has a password'}")


def _given(password_file: PasswordFile, login: str) -> str:
    if password_file:
        return files.read_text_password(password_file)
    return files.ask_password(f"Password of {login}", confirm=True).decode()
