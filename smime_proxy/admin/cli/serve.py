"""`serve`: runs the service until it is told to stop.

No RFC; signals are those of docs/commands.md.
"""

import typer

from smime_proxy.admin.cli.adapters import adapters, settings
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.program import noun
from smime_proxy.settings import Settings
from smime_proxy.settings.checks import check_serving

app = noun()


@app.command()
def serve(context: typer.Context) -> None:
    """Run the service; SIGTERM and SIGINT end it in good order."""

    def load() -> Settings:
        loaded = settings(context)
        if faults := check_serving(loaded):
            raise CommandError("\n".join(str(fault) for fault in faults))
        return loaded

    raise typer.Exit(adapters(context).serve(load(), load))
