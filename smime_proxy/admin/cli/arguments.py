"""Arguments that several commands share, read into values before anything is touched.

RFC 5321 4.1.2 (addresses).
"""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.certs.certificate import Certificate
from smime_proxy.gateway.spelling import MAX_REFUSAL_TEXT, read_line
from smime_proxy.settings import Settings
from smime_proxy.settings.checks import sent_copy_upstream
from smime_proxy.settings.fields import read_sent_copy

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The account's address.")]
Fingerprint = Annotated[
    str, typer.Argument(metavar="ID", help="Fingerprint (SHA-256), or at least 8 digits of it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="F",
        help="File whose first line is the password.",
        readable=False,
    ),
]


def to_pem(certificate: Certificate) -> str:
    """Write a certificate as PEM (RFC 7468 5)."""
    return certificate.x509().public_bytes(Encoding.PEM).decode("ascii")


def mailbox(text: str) -> Mailbox:
    """Read an address; raises `CommandError`."""
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise CommandError(f"{text!a} is not an address: {error}") from None


def refusal_text(text: str) -> str:
    """Check what senders are told instead of the usual advice; raises `CommandError`."""
    try:
        return read_line(text, MAX_REFUSAL_TEXT)
    except ValueError as error:
        raise CommandError(f"--refusal-text {error}") from None


def sent_copy(text: str, settings: Settings) -> str:
    """Check the place of sent copies, and that its upstream exists; raises `CommandError`."""
    try:
        place = read_sent_copy(text)
    except ValueError as error:
        raise CommandError(f"--sent-copy {error}") from None
    name = sent_copy_upstream(place)
    if name and name not in settings.upstreams:
        raise CommandError(f"--sent-copy: there is no upstream {name!r} in the settings")
    return place
