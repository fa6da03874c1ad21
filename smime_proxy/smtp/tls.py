"""Build TLS contexts for listeners and upstreams with one set of modern defaults.

RFC 9325 (TLS 1.2 or later), RFC 3207 (STARTTLS), RFC 8314 (implicit TLS), RFC 9525 (host names).
"""

import ssl
from pathlib import Path

from smime_proxy.smtp.errors import TlsSetupError


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Build the context for connections to upstreams: certificate and host name are checked.

    `ca_file` is a PEM file whose authorities alone are trusted; without it the system's are.
    Raises `TlsSetupError` with one line (RFC 9525 6).
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    except ssl.SSLError:
        raise TlsSetupError(f"{ca_file}: holds no certificates in PEM form") from None
    except OSError as error:
        raise TlsSetupError(f"{ca_file}: {error.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def server_context(
    certificate: Path, key: Path, *, ask_clients: bool = False, client_ca: Path | None = None
) -> ssl.SSLContext:
    """Build the context of a listener from a PEM chain, end entity first, and its PEM key.

    The key must not be encrypted: a service has nobody to ask. With `ask_clients` clients may show
    a certificate of the authorities in the PEM file `client_ca`, else of the system's; one that
    does not verify ends the handshake (RFC 8446 4.4.2.4). Raises `TlsSetupError` with one line
    (RFC 9325 3.1).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ask_clients:
        _ask_clients(context, client_ca)
    for path in (certificate, key):
        _refuse_unreadable(path)
    try:
        # The password stops OpenSSL from asking on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"{key}: is not the key of the certificate in {certificate}"
        else:
            message = f"{certificate}, {key}: hold no certificate and unencrypted key in PEM form"
        raise TlsSetupError(message) from None
    return context


def _ask_clients(context: ssl.SSLContext, ca_file: Path | None) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would bring a certificate that was verified another time.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    _refuse_unreadable(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise TlsSetupError(f"{ca_file}: holds no certificates in PEM form") from None


def _refuse_unreadable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise TlsSetupError(f"{path}: {error.strerror}") from None
