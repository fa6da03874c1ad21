"""`inspect`: says what a message, or a bare CMS object, is, judged now or at another time.

RFC 8551 3; RFC 4155 (a leading mbox line is skipped).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.adapters import act, invocation, opened_store, settings
from smime_proxy.admin.cli.arguments import Json
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import emit_json, say, tell
from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.admin.cli.program import noun
from smime_proxy.admin.declared import read_declared
from smime_proxy.certs.anchors import Anchor, Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.names import name_key
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.revocation import Revocation
from smime_proxy.cms import decrypt
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.errors import CmsError
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.settings.rules import to_gateways
from smime_proxy.smime.inspect import Inspection
from smime_proxy.smime.inspect import inspect as inspect_message
from smime_proxy.smime.verify import Trust
from smime_proxy.stores.answers import AnswerShelf
from smime_proxy.stores.declared import Declared
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import STORE_FILE
from smime_proxy.stores.snapshot import Snapshot

FAILED = 1

Known: TypeAlias = Callable[[bytes, int], Sequence[bytes]]

app = noun()


@dataclass(frozen=True, slots=True)
class Material:
    """Keys and trust a message is judged with."""

    keys: tuple[DecryptionKey, ...]
    trust: Trust


@app.command()
def inspect(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A message, or CMS in DER or PEM; - for stdin.", readable=False
        ),
    ],
    *,
    as_json: Json = False,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Judge at this time, ISO 8601.")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(metavar="PEM", help="A further trust anchor; repeatable.", readable=False),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="PKCS#12, or PEM with key and certificate; repeatable.",
            readable=False,
        ),
    ] = None,
    password_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--password-file", metavar="F", help="Password of a --key; repeatable.", readable=False
        ),
    ] = None,
    extract: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write what is inside the innermost layer opened.", readable=False
        ),
    ] = None,
) -> None:
    """Say what a message is: layers, signers, recipients, verdicts."""
    moment = _time(at) if at is not None else act(context).at
    if extract is not None:
        _keep(extract, file, *(trust or ()), *(key or ()), *(password_file or ()))
    content = without_mbox_line(files.read(file))
    given = _given(trust or (), key or (), password_file or ())
    out = files.open_private(extract) if extract is not None else None
    material = _with_store(context, given)
    found = inspect_message(content, keys=material.keys, trust=material.trust, at=moment)
    if as_json:
        emit_json(found.as_json())
    else:
        _show(found)
    if out is not None:
        if found.extracted is None:
            files.discard_empty(extract)
            raise CommandError(f"{file}: no CMS layer could be opened, nothing to extract")
        files.write(out, found.extracted)
    if found.error:
        if not as_json:
            say(f"{file}: {found.error}")
        raise typer.Exit(FAILED)


def without_mbox_line(content: bytes) -> bytes:
    """Leave out a leading `From ` line, as mbox files have one (RFC 4155)."""
    return content.partition(b"\n")[2] if content.startswith(b"From ") else content


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter before year 1 or after 9999 in UTC
        raise CommandError(f"--at: {text!a} is not a time such as 2026-01-31T12:00:00Z") from None


def _keep(out: Path, *read: Path) -> None:
    """Refuse to write over a file the command reads: ciphertext and keys may exist only once."""
    if any(_is_same(out, path) for path in read):
        raise CommandError(f"--extract: {out} is one of the files to read")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, or cannot be read: opening it says so
        return False


def _given(
    trust: Sequence[Path], key_files: Sequence[Path], password_files: Sequence[Path]
) -> Material:
    anchors = [
        # A person's own certificate is trusted as itself and issues nothing.
        Anchor(certificate, pinned=not (certificate.is_ca or certificate.is_self_signed))
        for path in trust
        for certificate in read_certificate_file(path)
    ]
    passwords = [files.read_password(path) for path in password_files]
    bundles = [files.read_keys(path, passwords) for path in key_files]
    try:
        keys = tuple(
            DecryptionKey.build(pair.private_key, pair.certificate.der)
            for bundle in bundles
            for pair in bundle.pairs
            # Others only sign.
            if isinstance(pair.private_key, decrypt.PrivateKey)
        )
    except CmsError as error:
        raise CommandError(f"--key: {error}") from error
    intermediates = tuple(certificate for bundle in bundles for certificate in bundle.chain)
    owners = (pair.certificate for bundle in bundles for pair in bundle.pairs)
    known = _known((*(anchor.certificate for anchor in anchors), *owners, *intermediates))
    return Material(keys, Trust(tuple(anchors), intermediates, known))


def _known(certificates: Sequence[Certificate]) -> Known:
    """Give the lookup for signatures that bring no certificate (E58)."""

    def found(issuer: bytes, serial: int) -> list[bytes]:
        wanted = name_key(issuer), serial
        return [one.der for one in certificates if (one.issuer_key, one.serial) == wanted]

    return found


def _with_store(context: typer.Context, given: Material) -> Material:
    """Add the settings' gateways, and the store's keys and anchors where it can be read."""
    loaded = settings(context)
    said = replace(
        given.trust,
        gateways=to_gateways(loaded),
        subject_address=loaded.trust.subject_address,
    )
    declared = read_declared(loaded, act(context).at)
    for fault in declared.faults:
        say(f"warning: {fault}")
    given = replace(given, trust=said)
    served = [domain for one in loaded.listeners.values() for domain in one.domains]
    alone = _with_declared(given, declared, tuple(sorted({*served, *declared.domains})))
    try:
        if not (loaded.service.state_dir / STORE_FILE).exists():
            return alone
        with opened_store(context, loaded, declared) as store, store.reading() as connection:
            snapshot = Snapshot.of(store, connection)
            answers = AnswerShelf(store)
            answers.refresh()
    except (StoreError, PermissionError) as error:
        if invocation(context).config is not None:
            say(f"warning: without the store: {error}")
        return alone

    def known(issuer: bytes, serial: int) -> tuple[bytes, ...]:
        stored = snapshot.known_certificates(issuer, serial)
        return (*given.trust.known(issuer, serial), *stored)

    trust = replace(
        given.trust,
        anchors=Anchors.of((*given.trust.anchors, *snapshot.anchors())),
        intermediates=Issuers.of((*given.trust.intermediates, *snapshot.intermediates())),
        known=known,
        own_of=lambda mailbox: [one.certificate for one in snapshot.partner_certificates(mailbox)],
        revocation=Revocation(loaded.revocation.mode, answers),
    )
    return Material((*given.keys, *_keys(snapshot)), trust)


def _with_declared(given: Material, declared: Declared, mine: tuple[str, ...]) -> Material:
    """Add the keys and anchors that the settings declare; `mine` are our own domains."""
    held = [key for one in declared.accounts for key in one.keys]
    keys = [
        DecryptionKey.build(key.private_key, key.certificate.der)
        for key in held
        if isinstance(key.private_key, decrypt.PrivateKey)
    ]
    found = _known([key.certificate for key in held])
    anchors = [
        Anchor(one.certificate, unless=() if one.own_domains else mine)
        for one in declared.trust.anchors
    ]
    trust = replace(
        given.trust,
        anchors=Anchors.of((*given.trust.anchors, *anchors)),
        intermediates=Issuers.of((*given.trust.intermediates, *declared.issuers)),
        known=lambda issuer, serial: (*given.trust.known(issuer, serial), *found(issuer, serial)),
    )
    return Material((*given.keys, *keys), trust)


def _keys(snapshot: Snapshot) -> list[DecryptionKey]:
    found: list[DecryptionKey] = []
    for account in set(snapshot.accounts_by_address.values()):
        try:
            found += snapshot.decryption_keys(account)
        except KeyUnavailable as error:
            say(f"warning: {error}")
    return found


def _show(found: Inspection) -> None:
    shown: dict[str, Any] = found.as_json()
    for number, layer in enumerate(shown.pop("layers"), 1):
        lists = {name: layer.pop(name) for name in ("signers", "recipients") if name in layer}
        words = [f"{name}={value}" for name, value in layer.items() if name != "kind"]
        tell(" ".join((f"layer {number}: {layer['kind']}", *words)))
        for name, entries in lists.items():
            for entry in entries:
                said = (f"{key}={_text(value)}" for key, value in entry.items() if value)
                tell(f"  {name.removesuffix('s')}: {' '.join(said)}")
    for name, value in shown.items():
        if value:
            tell(f"{name.replace('_', ' ')}: {value}")


def _text(value: Any) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return f'"{text}"' if " " in text else text
