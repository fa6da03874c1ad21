"""`token`: the keys on the token of the settings.

RFC 7512 (the URIs it prints); making keys is the business of the token's own tools.
"""

import typer

from smime_proxy.admin.cli.adapters import adapters, settings
from smime_proxy.admin.cli.arguments import Json
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, emit_table
from smime_proxy.admin.cli.ownership import act_as_owner
from smime_proxy.admin.cli.program import noun

app = noun("The token private keys may lie on.")


@app.callback()
def _verbs() -> None:
    """The token private keys may lie on."""


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the private and secret keys on the token."""
    loaded = settings(context)
    if loaded.pkcs11.module is None:
        raise CommandError("there is no token: set [pkcs11] module, token and pin_file")
    act_as_owner(loaded.service.state_dir)
    keys = adapters(context).token(loaded)
    try:
        found = [
            {"uri": str(key.uri), "kind": key.kind, "size": key.size} for key in keys.listing()
        ]
    finally:
        keys.close()
    if as_json:
        emit_json(found)
        return
    emit_table(
        ("uri", "kind", "size"), [(key["uri"], key["kind"], key["size"] or "") for key in found]
    )
