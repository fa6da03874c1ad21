"""A whole service with a gateway that only says yes, run as a program of its own.

Usage: python -m tests.unit.smtp.serving STATE_DIR WORKERS SMTP_PORT STATUS_PORT [MODE]
The reply to a message names the process; MODE `broken` fails at the start.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.admin.metrics import Counters
from smime_proxy.admin.status import serve_status
from smime_proxy.envelope import ForwardPath, Role, Session
from smime_proxy.gateway.ports import Extensions, Upstream
from smime_proxy.reply import Reply
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.service import ServiceOptions
from smime_proxy.smtp.workers import run_service

SLOW_SECONDS = 1.0  # what a message that begins with "slow" takes
OK = Reply(250, None, "Ok")


class Conversation:
    identifier = "T1"

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        return OK

    async def rcpt(self, path: ForwardPath) -> Reply:
        return OK

    async def data(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> Reply:
        if content.startswith(b"slow"):
            await asyncio.sleep(SLOW_SECONDS)
        return Reply(250, None, f"Ok {os.getpid()}")

    async def data_each(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> tuple[Reply, ...]:
        raise NotImplementedError

    async def reset(self) -> None:
        return None


class Gateway:
    hostname = "proxy.example.test"

    def begin(self, session: Session, upstream: Upstream | None = None) -> Conversation:
        return Conversation()


class Engine:
    def __init__(self) -> None:
        self.gateway = Gateway()
        self.measures = Counters()
        self.reloads = 0

    def extensions(self, listener: str) -> Extensions:
        return Extensions()

    def greeting(self, listener: str) -> str:
        return ""

    async def learn(self, listener: str) -> None:
        return None

    def not_ready(self) -> str:
        return ""

    def counts(self) -> Mapping[str, int]:
        return self.measures.counts()

    def gauges(self) -> Mapping[str, float]:
        return {"snapshot_age_seconds": 1.5}

    def reload(self) -> tuple[ListenerOptions, ...]:
        self.measures.count("partly_sent")
        return ()

    async def close(self) -> None:
        return None


async def make_engine() -> Engine:
    if sys.argv[5:] == ["broken"]:
        raise SmtpError("the key does not fit")
    return Engine()


def main() -> None:
    state, workers, port, status = sys.argv[1:5]
    listener = ListenerOptions(
        "out",
        Role.OUTBOUND,
        f"127.0.0.1:{port}",
        trusted_networks=(ip_network("127.0.0.0/8"),),
    )
    options = ServiceOptions((listener,), Path(state), int(workers), 10, f"127.0.0.1:{status}")
    try:
        sys.exit(run_service(options, make_engine, serve_status))
    except SmtpError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
