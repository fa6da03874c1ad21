"""`backup`: everything in the store, private keys too, in one file encrypted under a password.

No RFC; docs/backup.md has the format. The service goes on meanwhile.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, opened_store
from smime_proxy.admin.cli.arguments import PasswordFile
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import tell
from smime_proxy.admin.cli.program import noun
from smime_proxy.stores import backup as backups

app = noun()


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Is made; must not be there yet.", readable=False)
    ],
    password_file: PasswordFile = None,
) -> None:
    """Write everything in the store into one encrypted file."""
    at = act(context).at
    if password_file is not None:
        password = files.read_password(password_file)
    else:
        password = files.ask_password("password of the backup", confirm=True)
    with files.new_private(file) as out, opened_store(context) as store:
        try:
            backups.backup(store, out, password, at)
            out.flush()
            os.fsync(out.fileno())
        except BaseException:  # half a backup must not be taken for one
            with suppress(OSError):
                out.truncate(0)
                file.unlink()
            raise
        size = os.fstat(out.fileno()).st_size
    if not size:
        raise CommandError(f"{file}: nothing was written")
    tell(f"{file}: {size} octets; it opens with the password alone, keep both well and apart")
