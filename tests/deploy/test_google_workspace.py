"""The lines of Postfix in docs/google-workspace.md, run: the field that vouches does not leave."""

import re
from pathlib import Path

import pytest

from tests.e2e.client import deliver
from tests.e2e.proxy import ROOT, eventually
from tests.ports import HOST, free_port
from tests.postfix import _MAIN, _MASTER, postfix_of
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

BLOCK = re.compile(
    r"^ *# master\.cf\n(?P<master>.*?)^ *# /etc/postfix/outgoing_checks\n(?P<checks>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
FIELD = b"X-Example-Gateway: 0123456789abcdef0123456789abcdef\r\n"


def test_the_field_that_vouches_for_us_is_taken_off(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "google-workspace.md").read_text(encoding="utf-8")
    block = BLOCK.search(page)
    assert block is not None
    tmp_path.chmod(0o755)
    checks = tmp_path / "outgoing_checks"
    checks.write_text(re.sub("^ +", "", block["checks"], flags=re.MULTILINE))
    port = free_port()
    # The signing of DKIM is another page's; all the rest is as it stands there.
    lines = [line[3:] for line in block["master"].splitlines() if "smtpd_milters" not in line]
    master = "\n".join(lines).replace("127.0.0.1:10026", f"{HOST}:{port}")
    master = master.replace("/etc/postfix/outgoing_checks", str(checks))
    with running(Sink()) as sink:
        main = f"{_MAIN}relayhost = [{HOST}]:{sink.port}\n"
        with postfix_of(main, f"{master}\n{_MASTER}", port) as postfix:
            content = b"From: a@example.com\r\n" + FIELD + b"Subject: x\r\n\r\n" + FIELD + b"\r\n"
            assert deliver(port, "a@example.com", ("b@example.net",), content).code == 250
            eventually(lambda: bool(sink.messages), postfix.log)
    head, _, text = sink.messages[0].content.partition(b"\r\n\r\n")
    assert b"x-example-gateway" not in head.lower()
    assert b"Subject: x" in head
    assert FIELD in text
