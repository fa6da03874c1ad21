"""Builds a layout of deploy/postfix: Postfix and the service by its files, mailboxes, the world.

The world is a sink without 8BITMIME where Postfix sends to it, and one that wants TLS and a login
where the service does. Mailboxes are Dovecot's, which checks passwords too; those of the layout
`mx` are in a sink, the store it hands mail to.
"""

import contextlib
import os
import shutil
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.postfix.house import AWAY, INVOICES, OFFICE, USERS, PostfixHouse
from tests.deploy.postfix.layout import DOMAIN, TIMES, Layout
from tests.dovecot import Store, dovecot
from tests.e2e.conftest import ALICE, OUTSIDE, Made, command
from tests.e2e.proxy import Design, Listener, Proxy, serving
from tests.opendkim import make_dkim_key, opendkim
from tests.peers import require
from tests.ports import HOST, free_port
from tests.postfix import Postfix, postfix_of
from tests.sink import EXTENSIONS, Sink, running
from tests.tls_files import TlsFiles

LOGIN, SECRET = "example.test", "canary-of-the-provider"
SEVEN_BIT = tuple(name for name in EXTENSIONS if name != "8BITMIME")
_AUTH = """
disable_plaintext_auth = no
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
_DELIVERY = "lmtp:unix:private/dovecot-lmtp"
_PROVIDER = "smtp://smtp.provider.example:587"


@dataclass(frozen=True, slots=True)
class Building:
    """What is there already when a layout is started; all ends with the stack."""

    layout: Layout
    stack: contextlib.ExitStack
    made: Made
    tls: TlsFiles

    def dovecot(self) -> tuple[Store, dict[str, str]]:
        """Start the mailboxes; gives the words of main.cf that name them."""
        port = free_port()
        store = self.stack.enter_context(dovecot(USERS, _AUTH.format(port=port)))
        return store, {
            _DELIVERY: f"lmtp:unix:{store.socket}",
            "private/auth": f"inet:{HOST}:{port}",
        }

    def world(self) -> Sink:
        """Start a server of the world, which takes 7 bits only."""
        return self.stack.enter_context(running(Sink(extensions=SEVEN_BIT)))

    def provider(self) -> Sink:
        """Start a server that wants TLS and a login."""
        sink = Sink(tls=self.tls.server(), logins={LOGIN: SECRET})
        return self.stack.enter_context(running(sink))

    def milter(self, *lines: str) -> str:
        """Start an OpenDKIM; gives how Postfix names it."""
        port = free_port()
        self.stack.enter_context(opendkim(self.layout.folder, port, *lines))
        return f"inet:{HOST}:{port}"

    def signer(self) -> str:
        """Start the milter that signs."""
        key, _ = make_dkim_key(self.layout.folder)
        return self.milter(f"Domain {DOMAIN}", "Selector mail", f"KeyFile {key}", "Mode s")

    def verifier(self) -> str:
        """Start the milter that verifies."""
        always = ("AlwaysAddARHeader yes", "AuthservID verifier.example.test")
        return self.milter("Mode v", "InternalHosts 192.0.2.1", *always)

    def trusted(self, sink: Sink, url: str) -> dict[str, str]:
        """Give the words of smime-proxy.toml for an upstream by TLS that is a sink."""
        return {
            url: f"smtp://localhost:{sink.port}",
            'tls_ca_file = ""': f'tls_ca_file = "{self.tls.ca}"',
        }

    def service(self, words: Mapping[str, str]) -> Proxy:
        """Start the service."""
        design = self.layout.settings(words)
        proxy = serving(self.layout.folder / "proxy", self.made.state, design)
        started = self.stack.enter_context(proxy)
        self.layout.listening(started.ports)
        return started

    def postfix(self, words: Mapping[str, str]) -> Postfix:
        """Start Postfix."""
        text = self.layout.main(words)
        started = postfix_of(text, self.layout.master(), self.layout.ports["smtp"])
        return self.stack.enter_context(started)


def _by_postfix(building: Building) -> tuple[Postfix, Proxy, Sink, Store | Sink]:
    """`submission` and `outbound`: Postfix sends to the world."""
    world = building.world()
    store, words = building.dovecot()
    proxy = building.service({})
    words |= {
        "[relay.example.net]:587": f"[{HOST}]:{world.port}",
        "dkim_signer =": f"dkim_signer = {building.signer()}",
    }
    return building.postfix(words), proxy, world, store


def _smarthost(building: Building) -> tuple[Postfix, Proxy, Sink, Store | Sink]:
    world = building.provider()
    store, words = building.dovecot()
    proxy = building.service(building.trusted(world, _PROVIDER))
    return building.postfix(words), proxy, world, store


def _inbound(building: Building) -> tuple[Postfix, Proxy, Sink, Store | Sink]:
    world = building.world()
    store, words = building.dovecot()
    proxy = building.service({})
    with (building.layout.folder / "aliases").open("a") as aliases:
        aliases.write(f"{AWAY} {OUTSIDE}\n")  # as the file says one must not
    del words["private/auth"]
    words |= {
        "[relay.example.net]:587": f"[{HOST}]:{world.port}",
        "verifier =": f"verifier = {building.verifier()}",
    }
    return building.postfix(words), proxy, world, store


def _mx(building: Building) -> tuple[Postfix, Proxy, Sink, Store | Sink]:
    world = building.world()
    store = building.stack.enter_context(running(Sink(tls=building.tls.server())))
    proxy = building.service(building.trusted(store, "smtp://store.example.com:25"))
    words = {
        "relayhost =": f"relayhost = [{HOST}]:{world.port}",
        "verifier =": f"verifier = {building.verifier()}",
    }
    return building.postfix(words), proxy, world, store


_STARTING: Mapping[str, Callable[[Building], tuple[Postfix, Proxy, Sink, Store | Sink]]] = {
    "submission": _by_postfix,
    "outbound": _by_postfix,
    "smarthost": _smarthost,
    "inbound": _inbound,
    "mx": _mx,
}


@contextlib.contextmanager
def postfix_house(
    name: str, folder: Path, made: Made, tls: TlsFiles, *, times: Mapping[str, str] = TIMES
) -> Iterator[PostfixHouse]:
    """Run a layout in a new folder until the block ends; it wants root.

    `times` are put in place of those in main.cf.
    """
    folder.mkdir(parents=True)
    (folder / "tls.pem").write_bytes(tls.key.read_bytes() + tls.certificate.read_bytes())
    (folder / "provider.password").write_text(f"{SECRET}\n")
    layout = Layout(name, folder, times)
    with contextlib.ExitStack() as stack:
        postfix, proxy, world, mailboxes = _STARTING[name](Building(layout, stack, made, tls))
        trusting = ssl.create_default_context(cafile=tls.ca)
        yield PostfixHouse(layout, postfix, proxy, world, mailboxes, made, trusting)
        assert "Traceback" not in proxy.log()


def settle(folder: Path, made: Made) -> Made:
    """Add to a copy of a state, by commands, what the layouts have besides."""
    design = Design({"out": "url = 'maildir:///dev/null'"}, {"out": Listener("outbound", "out")})
    proxy = Proxy(folder, design)
    shutil.copytree(made.state, proxy.state)
    for file in (*made.files.glob("*.pem"), *made.files.glob("*.key")):
        shutil.copy(file, folder)
    for address in (INVOICES, OFFICE):
        command(proxy, "account", "add", address)
        name = address.partition("@")[0]
        (folder / f"{name}.pem").write_text(command(proxy, "ca", "issue", address))
    command(proxy, "account", "set", ALICE, "--alias", AWAY)
    return Made(proxy.state, folder)


@contextlib.contextmanager
def started(name: str, folder: Path, made: Made, tls: TlsFiles) -> Iterator[PostfixHouse]:
    """Run a layout for a test, or skip it where that cannot be."""
    for peer in ("postfix", "dovecot", "opendkim"):
        require(peer)
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    with postfix_house(name, folder, made, tls) as running:
        yield running
