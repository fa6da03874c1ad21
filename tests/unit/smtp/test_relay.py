import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.relay import DEFAULT_TIMEOUTS, ClientInfo, Relay
from smime_proxy.smtp.tls import client_context


def test_a_password_goes_nowhere_without_tls() -> None:
    """R32: not even to loopback."""
    with pytest.raises(SmtpError, match="only sent over TLS"):
        Relay("127.0.0.1", 25, tls="never", username="me", password="secret")


def test_a_password_is_not_shown() -> None:
    relay = Relay("mx", 587, tls_context=client_context(), username="me", password="geheim")
    assert "geheim" not in repr(relay) + str(relay)
    with pytest.raises(SmtpError) as caught:
        Relay("mx", 587, username="me", password="geheim")
    assert "geheim" not in str(caught.value)


def test_required_means_verified() -> None:
    lax, nameless = ssl.create_default_context(), ssl.create_default_context()
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    nameless.check_hostname = False
    for context in (None, lax, nameless):
        with pytest.raises(SmtpError, match="verifies"):
            Relay("mx", 587, tls_context=context)


def test_smtps_is_never_without_tls() -> None:
    with pytest.raises(SmtpError, match="smtps always uses TLS"):
        Relay("mx", 465, scheme="smtps", tls="never")


def test_a_unix_socket_is_for_lmtp_without_tls() -> None:
    relay = Relay("", 0, scheme="lmtp", tls="never", socket=Path("/run/lmtp"))
    assert str(relay) == "lmtp:///run/lmtp"
    with pytest.raises(SmtpError, match="UNIX socket"):
        replace(relay, scheme="smtp")
    with pytest.raises(SmtpError, match="UNIX socket"):
        replace(relay, tls="required", tls_context=client_context())


def test_timeouts_are_at_least_those_of_the_rfc() -> None:
    """RFC 5321 4.5.3.2."""
    minutes = {"greeting": 5, "mail": 5, "rcpt": 5, "data": 2, "block": 3, "dot": 10}
    for name, least in minutes.items():
        assert getattr(DEFAULT_TIMEOUTS, name) >= least * 60


def test_a_proxy_header_needs_addresses_and_clients_share_what_names_none() -> None:
    with pytest.raises(SmtpError, match="UNIX socket has no addresses"):
        Relay("", 0, "lmtp", tls="never", socket=Path("/run/lmtp"), client_info="proxy")
    relay = Relay("store.example", 24, "lmtp", tls="never")
    ways: tuple[ClientInfo, ...] = ("none", "xforward", "xclient", "proxy")
    shared = [replace(relay, client_info=way).is_shared for way in ways]
    assert shared == [True, True, False, False]
