"""`store`: the schema of the store and its master key.

No RFC; `serve` migrates an SQLite store by itself.
"""

from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin.cli.adapters import act, opened_store, settings
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say, tell
from smime_proxy.admin.cli.program import noun
from smime_proxy.stores.open import MASTER_KEY_FILE
from smime_proxy.stores.rotation import rotate
from smime_proxy.stores.vault import read_key

app = noun("The store's schema and master key.")


@app.command()
def upgrade() -> None:
    """Migrate a PostgreSQL store."""
    raise CommandError(
        "store upgrade is for PostgreSQL, which is not supported in this version;"
        " `serve` migrates an SQLite store by itself"
    )


@app.command(name="rotate-master-key")
def rotate_master_key(
    context: typer.Context,
    new_file: Annotated[
        Path | None,
        typer.Option(
            "--new-file", metavar="F", help="The new key; without it one is made.", readable=False
        ),
    ] = None,
) -> None:
    """Wrap every private key with a new master key."""
    acting, loaded = act(context), settings(context)
    if loaded.keys.master_key:
        raise CommandError("the master key lies on the token, which has its own tools to change it")
    path = loaded.keys.master_key_file or loaded.service.state_dir / MASTER_KEY_FILE
    key = None if new_file is None else read_key(new_file)
    with opened_store(context, loaded) as store:
        done = rotate(store, acting, path, key)
    tell(f"{done.number} keys are wrapped with the new master key {path}")
    say(
        f"warning: keep a copy of it in another backup than that of the store; the old one is"
        f" {done.kept}: remove it when no copy of the store needs it any more"
    )
