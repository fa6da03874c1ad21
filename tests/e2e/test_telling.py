"""What a service tells of itself: the documented metrics of all workers, and logs nobody can forge.

Invariant I17; docs/metrics.md, docs/logging.md.
"""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import ROOT, Design, Listener, Proxy, eventually, serving, to_sink
from tests.ports import free_port
from tests.sink import Fault, Say, Sink, Step, running

pytestmark = pytest.mark.e2e

FORGED = "2026-01-01T00:00:00Z info    delivery id=forged reply=250"


def shown(proxy: Proxy) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Give every metric by its documented name, with the values by labels."""
    code, text = proxy.get("/metrics")
    assert code == 200
    return {
        family.name.removeprefix("smime_proxy_"): {
            tuple(sorted(one.labels.items())): one.value for one in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


def letter(number: int, extra: str = "") -> bytes:
    head = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\nMessage-ID: <{number}@client.example>\r\n{extra}"
    return f"{head}\r\nHello\r\n".encode()


def test_the_metrics_of_all_workers_are_summed_and_every_one_is_documented(
    tmp_path: Path, made: Made
) -> None:
    with running(Sink()) as sink:
        upstreams = {"sink": to_sink(sink.port), "gone": to_sink(free_port())}
        listeners = {"out": Listener("outbound", "sink"), "lost": Listener("outbound", "gone")}
        design = Design(upstreams, listeners, workers=3)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            clients = [Client(proxy.ports["out"]) for _ in range(12)]
            for number, client in enumerate(clients):
                client.say("EHLO x")
                assert client.transaction(ALICE, (OUTSIDE,), letter(number)).code == 250
            assert deliver(proxy.ports["lost"], ALICE, (OUTSIDE,), letter(99)).code == 451
            listener = (("listener", "out"),)
            eventually(lambda: shown(proxy)["sessions_open"].get(listener) == len(clients))
            treated = (("mode", "enforce"), ("outcome", "accepted"), ("treatment", "sign"))
            eventually(lambda: shown(proxy)["deliveries"].get(treated) == len(clients))
            cause = (("cause", "upstream_unreachable"), ("listener", "lost"))
            eventually(lambda: shown(proxy)["temporary_replies"].get(cause) == 1)
            eventually(lambda: len(shown(proxy)["expiry_seconds"]) == 3)
            seen = shown(proxy)
            for client in clients:
                client.__exit__()
    assert seen["upstream_reachable"] == {(("upstream", "gone"),): 0, (("upstream", "sink"),): 1}
    assert seen["keys_pending"] == {(): 0}
    assert seen["message_octets_held"] == {(): 0}
    assert 0 <= seen["snapshot_age_seconds"][()] < 60
    assert min(seen["certificate_expiry_seconds"].values()) > 0
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(seen) == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert "@" not in json.dumps(list(map(str, seen.values())))


@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_clients_and_upstreams_write_forges_no_line(
    tmp_path: Path, made: Made, format_: str
) -> None:
    """CR, LF, ESC and signs that turn text around, in Message-ID, HELO, addresses and replies."""
    said = f"250 2.0.0 \x1b[2J\u202e ok {FORGED}\r\n".encode()
    nasty = f"Message-ID: <\x1b]0;x\x07\u202e\r\n {FORGED}@client.example>\r\n"
    content = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n{nasty}\r\nHello\r\n".encode()
    faults = [Fault(Step.DOT, Say(said)), Fault(Step.RCPT, Say(said.replace(b"250 2", b"451 4")))]
    with running(Sink(faults=faults)) as sink:
        listeners = {"out": Listener("outbound", "sink")}
        more = f'[log]\nformat = "{format_}"'
        design = Design({"sink": to_sink(sink.port)}, listeners, more=more)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            with Client(proxy.ports["out"]) as client:
                client.say(f"EHLO x\x1b[2J\x07\u202e\r{FORGED}".encode())
                refused = f'"a\x1b\u202e b reply=250"@{OUTSIDE.partition("@")[2]}'
                assert client.say(f"MAIL FROM:<{ALICE}>").code == 250
                client.say(f"RCPT TO:<{refused}>".encode())
                client.say("RSET")
                faults.pop()
                assert client.transaction(ALICE, (OUTSIDE,), content).code == 250
            eventually(lambda: "delivery" in proxy.log())
            raw = proxy.log_file.read_bytes()
    assert raw.isascii()
    lines = raw.decode().rstrip("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    delivered = [line for line in lines if "delivery" in line]
    assert len(delivered) == 1
    if format_ == "json":
        events = [json.loads(line) for line in lines if line.startswith("{")]
        (delivery,) = [one for one in events if one["event"] == "delivery"]
        assert delivery["message_id"].endswith("client.example")
        assert delivery["helo"].startswith("x?")
    else:
        assert not delivered[0].startswith("2026-01-01")
        assert re.sub(r'"(?:[^"\\]|\\.)*"', "", delivered[0]).count(" reply=") == 1
