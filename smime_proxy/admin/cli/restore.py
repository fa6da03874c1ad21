"""`restore`: fills the store with what a backup holds, all or nothing.

No RFC; docs/backup.md has the format. Private keys are wrapped with the master key that is there.
"""

from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, opened_store, settings
from smime_proxy.admin.cli.arguments import PasswordFile
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import tell
from smime_proxy.admin.cli.ownership import act_as_owner
from smime_proxy.admin.cli.program import noun
from smime_proxy.stores import backup
from smime_proxy.stores.errors import StoreError

app = noun()


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Made by `backup`.", readable=False)],
    password_file: PasswordFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The store holds something: copy it, then replace it.")
    ] = False,
) -> None:
    """Fill the store with what a backup holds."""
    acting = act(context)
    try:
        source = file.open("rb")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    with source:
        if password_file is not None:
            password = files.read_password(password_file)
        else:
            password = files.ask_password(f"password of {file}")
        loaded = settings(context)
        act_as_owner(loaded.service.state_dir)  # strangers' files are not read as root
        try:  # before there is a store and its master key
            backup.check(source, password)
        except StoreError as error:
            raise CommandError(f"{file}: {error}") from None
        with opened_store(context, loaded) as store:
            copy = backup.restore(store, acting, source, password, replace=replace)
    if copy is not None:
        tell(f"the store as it was: {copy}")
    tell(f"restored from {file}; `smime-proxy doctor` says how things stand")
