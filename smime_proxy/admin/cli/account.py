"""`account`: whose mailboxes there are, their policy, their keys.

No RFC; the synopsis of every verb is in docs/commands.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from smime_proxy.admin import queries
from smime_proxy.admin.cli import (
    files,
    import_report,
    key_directory,
    key_import,
    public_export,
)
from smime_proxy.admin.cli.account_change import Change, EncryptWord, SignWord, refuse_readers
from smime_proxy.admin.cli.account_password import password
from smime_proxy.admin.cli.adapters import act, opened_store, settings
from smime_proxy.admin.cli.arguments import Address, Json, PasswordFile, mailbox
from smime_proxy.admin.cli.output import emit_fields, emit_json, emit_table, plain, tell
from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.cli.zone import Kinds, zone_records
from smime_proxy.admin.queries import KeyView
from smime_proxy.certs.association import Matching, Selector, Usage
from smime_proxy.certs.public_file import Form
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import accounts, keys

app = noun("Accounts, their policy and their keys.")
app.command()(password)

KindOption = Annotated[
    Kind | None, typer.Option("--kind", help="A team is never encrypted to. [default: personal]")
]
SignOption = Annotated[SignWord | None, typer.Option("--sign", help="When its mail is signed.")]
EncryptOption = Annotated[
    EncryptWord | None, typer.Option("--encrypt", help="When its mail is encrypted.")
]
AliasOption = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="A", help="A further address of the mailbox; repeatable."),
]
LoginOption = Annotated[
    list[str] | None,
    typer.Option("--login", metavar="NAME", help="A login granted to it; default the address."),
]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option("--reader", metavar="A", help="Not supported in this version."),
]
SentCopyOption = Annotated[
    str | None,
    typer.Option("--sent-copy", metavar="URL", help="upstream:NAME, maildir:///path or default."),
]
RefusalTextOption = Annotated[
    str | None,
    typer.Option(
        "--refusal-text",
        metavar="TEXT",
        help="What senders of encrypted mail to a team are told to do; one line.",
    ),
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `account keys` shows it.")]


@app.command()
def add(
    context: typer.Context,
    address: Address,
    *,
    kind: KindOption = None,
    sign: SignOption = None,
    encrypt: EncryptOption = None,
    alias: AliasOption = None,
    login: LoginOption = None,
    reader: ReaderOption = None,
    sent_copy: SentCopyOption = None,
    refusal_text: RefusalTextOption = None,
) -> None:
    """Add an account; adding an identical one again is no error."""
    refuse_readers(reader)
    loaded, acting = settings(context), act(context)
    change = Change(
        kind,
        sign,
        encrypt,
        tuple(alias or ()),
        tuple(login or ()),
        sent_copy,
        refusal_text=refusal_text,
    )
    wanted = change.apply(Account(address=mailbox(address)), loaded)
    with opened_store(context, loaded) as store:
        is_new = accounts.add(store, acting, wanted)
    tell(f"{wanted.address}: {'added' if is_new else 'is there already'}")


@app.command(name="set")
def set_(
    context: typer.Context,
    address: Address,
    *,
    kind: KindOption = None,
    sign: SignOption = None,
    encrypt: EncryptOption = None,
    alias: AliasOption = None,
    login: LoginOption = None,
    reader: ReaderOption = None,
    sent_copy: SentCopyOption = None,
    refusal_text: RefusalTextOption = None,
    enable: Annotated[bool, typer.Option("--enable", help="Undo `account disable`.")] = False,
) -> None:
    """Change an account: what is given replaces what was, all else stays.

    One empty --alias or --login takes all away; --sign, --encrypt and --sent-copy know `default`.
    An empty --refusal-text restores the usual one.
    """
    refuse_readers(reader)
    loaded, acting = settings(context), act(context)
    change = Change(
        kind, sign, encrypt, tuple(alias or ()), tuple(login or ()), sent_copy, enable, refusal_text
    )
    wanted = mailbox(address)
    with opened_store(context, loaded) as store:
        accounts.change(store, acting, wanted, lambda account: change.apply(account, loaded))
    tell(f"{wanted}: set; `account show` says how it is now")


@app.command()
def show(context: typer.Context, address: Address, as_json: Json = False) -> None:
    """Show one account and its keys."""
    at, wanted = act(context).at, mailbox(address)
    with opened_store(context) as store:
        view = queries.account(store, wanted, at)
        held = queries.key_list(store, wanted, at)
    if as_json:
        emit_json(plain(view) | {"key_list": plain(held)})
        return
    emit_fields(view)
    _emit_keys(held)


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all accounts."""
    at = act(context).at
    with opened_store(context) as store:
        views = queries.account_list(store, at)
    if as_json:
        emit_json(views)
        return
    emit_table(
        ("address", "kind", "enabled", "sign", "encrypt", "keys", "signs until", "origin"),
        [
            (v.address, v.kind, v.enabled, v.sign, v.encrypt, v.keys, v.signs_until, v.origin)
            for v in views
        ],
    )


@app.command()
def disable(context: typer.Context, address: Address) -> None:
    """Let an account sign no more; it still decrypts."""
    acting, wanted = act(context), mailbox(address)
    with opened_store(context) as store:
        accounts.disable(store, acting, wanted)
    tell(f"{wanted}: disabled; it signs no more and still decrypts")


@app.command()
def remove(
    context: typer.Context,
    address: Address,
    destroy_keys: Annotated[
        bool, typer.Option("--destroy-keys", help="Mail encrypted to them is lost for good.")
    ] = False,
) -> None:
    """Remove an account; one with keys only when they may be destroyed."""
    acting, wanted = act(context), mailbox(address)
    with opened_store(context) as store:
        accounts.remove(store, acting, wanted, destroy_keys=destroy_keys)
    tell(f"{wanted}: removed")


@app.command(name="import-key")
def import_key(
    context: typer.Context,
    address: Address,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="PKCS#12, PEM, or a directory.", readable=False)
    ],
    password_file: PasswordFile = None,
    token_key: Annotated[
        str | None,
        typer.Option(
            "--token-key",
            metavar="URI",
            help="The key is on the token, as `token list` shows it; FILE has only certificates.",
        ),
    ] = None,
) -> None:
    """Give an account a private key with its certificate and chain, current or former."""
    acting, wanted = act(context), mailbox(address)
    if token_key is not None:
        certificates = read_certificate_file(file)
        with opened_store(context) as store:
            key_import.import_token_key(store, acting, wanted, certificates, token_key)
        return
    key_files = key_import.read_all(file, password_file)
    with opened_store(context) as store:
        key_import.import_all(store, acting, wanted, key_files)


@app.command(name="import-keys")
def import_keys(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Files in PKCS#12 or PEM.", readable=False)
    ],
    *,
    password_file: PasswordFile = None,
    passwords: Annotated[
        Path | None,
        typer.Option(
            "--passwords", metavar="CSV", help="List of file names and passwords.", readable=False
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make accounts that are not there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give each key of a directory to the account its certificate names, and report on it."""
    acting = act(context)
    listed = key_directory.read_passwords(passwords) if passwords else {}
    common = files.read_password(password_file) if password_file else b""
    key_files = key_directory.read_directory(directory, listed, common)
    with opened_store(context) as store:
        lines = key_directory.import_directory(store, acting, key_files, create=create)
    import_report.show(lines, "keys", as_json=as_json)


@app.command(name="export-public")
def export_public(
    context: typer.Context,
    address: Address,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Else standard output.", readable=False),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="der has one certificate, the others chains too.")
    ] = Form.PEM,
) -> None:
    """Give the certificates of an account that its partners need, with their chains."""
    at, wanted = act(context).at, mailbox(address)
    descriptor = files.open_public(out) if out else None
    try:
        with opened_store(context) as store:
            raw = public_export.written(store, wanted, form, at)
    except BaseException:
        files.discard_empty(out)
        raise
    if descriptor is None:
        typer.echo(raw, nl=False)
    else:
        files.write(descriptor, raw)
        tell(f"{out}: the certificates of {wanted}")


@app.command(name="keys")
def keys_(context: typer.Context, address: Address, as_json: Json = False) -> None:
    """List all keys of an account, current and former."""
    at, wanted = act(context).at, mailbox(address)
    with opened_store(context) as store:
        held = queries.key_list(store, wanted, at)
    if as_json:
        emit_json(held)
    else:
        _emit_keys(held)


@app.command(name="retire-key")
def retire_key(context: typer.Context, address: Address, key_id: KeyId) -> None:
    """Make a key a former one: it goes on decrypting and signs no more."""
    acting, wanted = act(context), mailbox(address)
    with opened_store(context) as store:
        key = keys.retire(store, acting, wanted, key_id)
    tell(f"{wanted}: key {key.key_id} is a former one, which only decrypts")


@app.command()
def smimea(
    context: typer.Context,
    address: Address,
    *,
    usage: Annotated[
        int, typer.Option("--usage", min=0, max=3, help="3: this very certificate.")
    ] = 3,
    selector: Annotated[
        int, typer.Option("--selector", min=0, max=1, help="0: certificate; 1: its key.")
    ] = 0,
    matching: Annotated[
        int, typer.Option("--matching", min=0, max=2, help="0: whole; 1, 2: SHA-256, SHA-512.")
    ] = 0,
) -> None:
    """Print the DNS records that let others find the account's certificates (RFC 8162)."""
    acting, wanted = act(context), mailbox(address)
    kind = Kinds(Usage(usage), Selector(selector), Matching(matching))
    with opened_store(context) as store:
        records = zone_records(store, wanted, kind, acting.at)
    for record in records:
        typer.echo(record)


def _emit_keys(held: list[KeyView]) -> None:
    emit_table(
        ("id", "state", "validity", "key", "until", "signs", "decrypts", "fingerprint", "origin"),
        [
            (
                view.id,
                view.state,
                view.certificate.validity,
                view.certificate.key,
                view.certificate.not_after,
                view.state == "current" and view.certificate.may_sign,
                view.certificate.may_encrypt,
                view.certificate.fingerprint[:16],
                view.origin,
            )
            for view in held
        ],
    )
