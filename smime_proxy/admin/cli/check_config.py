"""`check-config`: says what is wrong with the settings and where, and prints those in effect.

No RFC. It changes nothing: a store that is not there yet is not made.
"""

from typing import Any

import typer

from smime_proxy.admin.cli.adapters import act, opened_store, settings
from smime_proxy.admin.cli.arguments import Json
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, say
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.declared import read_declared
from smime_proxy.settings.checks import check_serving, notices
from smime_proxy.settings.shown import effective, to_toml
from smime_proxy.stores import accounts
from smime_proxy.stores.open import STORE_FILE

app = noun()


@app.command()
def check_config(context: typer.Context, as_json: Json = False) -> None:
    """Check the settings, the files they name and the master key; print those in effect."""
    loaded = settings(context)
    declared = read_declared(loaded, act(context).at)
    faults = [*map(str, check_serving(loaded)), *declared.faults]
    if faults:
        raise CommandError("\n".join(faults))
    found = [*notices(loaded), *declared.remarks]
    if (loaded.service.state_dir / STORE_FILE).exists():
        with opened_store(context, loaded, declared) as store:
            found += declared.notices(one.account for one in accounts.listing(store))
    for notice in found:
        say(notice)
    shown: dict[str, Any] = effective(loaded)
    if as_json:
        emit_json(shown)
    else:
        typer.echo(to_toml(shown))
