"""`store`: the schema of the store.

No RFC; `serve` migrates an SQLite store by itself.
"""

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.program import noun

app = noun("The store's schema.")


@app.callback()
def _verbs() -> None:
    """The store's schema."""


@app.command()
def upgrade() -> None:
    """Migrate a PostgreSQL store."""
    raise CommandError(
        "store upgrade is for PostgreSQL, which is not supported in this version;"
        " `serve` migrates an SQLite store by itself"
    )
