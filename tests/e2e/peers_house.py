"""The service between servers that say who their clients are, and Postfix that is told.

Postfix has a port for each way in front of the service, and one for each way behind it; what comes
out behind goes on, with XFORWARD, to a sink that notes everything.
"""

import contextlib
import smtplib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.peers import require
from tests.ports import HOST, free_ports
from tests.postfix import Entry, Postfix, postfix_with
from tests.sink import Sink, running
from tests.sink_journal import Message
from tests.tls_files import TlsFiles

STRANGER = "127.0.0.2"  # an address of this machine that is not Postfix's own
CLIENT, OTHER = "203.0.113.9", "198.51.100.7"  # the second may not relay by Postfix
ALIAS = "everybody@lists.example.test"  # forwards to OUTSIDE
FRONTS: Mapping[str, str] = {
    "before": "smtpd_proxy_filter=127.0.0.1:{}",
    "smtp": "content_filter=smtp:[127.0.0.1]:{}",
    "lmtp": "content_filter=lmtp:[127.0.0.1]:{}",
}
OFFICE = (  # a front that knows its people by their network, as docs/peers.md says
    "mynetworks=127.0.0.0/8",
    "local_header_rewrite_clients=permit_mynetworks",
)
BACKS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "xforward": ("smtpd_authorized_xforward_hosts=127.0.0.1",),
    "xclient": ("smtpd_authorized_xclient_hosts=127.0.0.1",),
    "proxy": ("smtpd_upstream_proxy_protocol=haproxy",),
}
_MAIN = """
mynetworks = 127.0.0.1/32, 203.0.113.0/24
virtual_alias_domains = lists.example.test
virtual_alias_maps = inline:{{ {alias}={target} }}
relayhost = [127.0.0.1]:{sink}
smtp_send_xforward_command = yes
lmtp_send_xforward_command = yes
smtpd_client_restrictions =
smtpd_helo_required = no
minimal_backoff_time = 3600s
"""


@dataclass(frozen=True, slots=True)
class PeersHouse:
    """The running programs; `fronts` are Postfix's ports, the service's are named as it does."""

    proxy: Proxy
    postfix: Postfix
    fronts: Mapping[str, int]
    sink: Sink

    def arrived(self, identifier: str, count: int = 1) -> Message:
        """Wait until a message is there, so many times, and give its first copy."""
        name = f"Message-ID: <{identifier}>".encode()

        def found() -> list[Message]:
            return [one for one in tuple(self.sink.messages) if name in one.content]

        eventually(lambda: len(found()) >= count and self.postfix.is_idle(), self.explain)
        assert len(found()) == count
        return found()[0]

    def xforwarded(self, message: Message) -> str:
        """Give what Postfix said by XFORWARD of a message it sent on."""
        told: list[bytes] = []
        for entry in self.sink.journal:
            if entry.connection == message.connection:
                if entry.event == "content" and entry.raw == message.wire:
                    break
                told = [] if entry.event == "content" else [*told, entry.raw]
        return b" ".join(line for line in told if line.startswith(b"XFORWARD")).decode() + " "

    def explain(self) -> str:
        return f"{self.postfix.log()[-8000:]}\n{self.proxy.log()[-4000:]}"


def send_from(
    source: str, port: int, sender: str, recipient: str, content: bytes, helo: str = "client"
) -> None:
    """Send one message from an address of this machine; raises what smtplib does."""
    with smtplib.SMTP(HOST, port, helo, source_address=(source, 0), timeout=60) as client:
        client.sendmail(sender, [recipient], content)


def swaks(port: int, sender: str, recipient: str, content: bytes, *more: str) -> int:
    """Let swaks send one message; gives its exit code."""
    line = [str(require("swaks")), "--server", HOST, "--port", str(port), "--from", sender]
    line += ["--to", recipient, "--ehlo", "client.example", "--data", "-", *more]
    done = subprocess.run(
        line, input=content.replace(b"\r\n", b"\n"), capture_output=True, check=False, timeout=120
    )
    return done.returncode


def _listeners(tls: TlsFiles) -> Mapping[str, Listener]:
    believing = f'trusted_peers = ["{HOST}"]'
    behind = f"{believing}\nproxy_protocol = true"
    pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"\nprotocol = "smtps"'
    known = f'trusted_networks = ["{CLIENT}", "{OTHER}"]'
    return {
        **{f"{way}-filter": Listener("outbound", "none", believing) for way in ("before", "smtp")},
        "lmtp-filter": Listener("outbound", "none", f'{believing}\nprotocol = "lmtp"'),
        "deaf": Listener("outbound", "none"),
        "xclient": Listener("outbound", "none", f"{believing}\ntrusted_networks = []"),
        "mx": Listener("inbound", "none", f'{behind}\ndomains = ["example.test"]'),
        "smtps": Listener("outbound", "none", f"{behind}\n{pair}\n{known}"),
        "distant": Listener(
            "outbound", "none", 'proxy_protocol = true\ntrusted_peers = ["192.0.2.0/24"]'
        ),
        **{f"on-{way}": Listener("outbound", way, believing) for way in BACKS},
        **{f"to-{way}": Listener("outbound", way, f"{behind}\n{known}") for way in BACKS},
    }


@contextlib.contextmanager
def peers_house(folder: Path, made: Made, tls: TlsFiles, target: str) -> Iterator[PeersHouse]:
    """Run everything until the block ends; it wants root. `target` is where `ALIAS` forwards."""
    ports = dict(
        zip((*FRONTS, *BACKS, "office"), free_ports(len(FRONTS) + len(BACKS) + 1), strict=True)
    )
    offers = ("PIPELINING", "8BITMIME", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")
    with running(Sink(extensions=offers)) as sink:
        upstreams = {way: f'{to_sink(ports[way])}\nclient_info = "{way}"' for way in BACKS}
        with serving(folder / "proxy", made.state, Design(upstreams, _listeners(tls))) as proxy:
            entries = _entries(ports, proxy.ports)
            main = _MAIN.format(alias=ALIAS, target=target, sink=sink.port)
            with postfix_with(entries, main) as postfix:
                yield PeersHouse(proxy, postfix, ports, sink)
            assert "Traceback" not in proxy.log()


def _entries(ports: Mapping[str, int], filters: Mapping[str, int]) -> Sequence[Entry]:
    return [
        *(Entry(ports[way], (FRONTS[way].format(filters[f"{way}-filter"]),)) for way in FRONTS),
        Entry(ports["office"], (*OFFICE, FRONTS["smtp"].format(filters["smtp-filter"]))),
        *(Entry(ports[way], options) for way, options in BACKS.items()),
    ]
