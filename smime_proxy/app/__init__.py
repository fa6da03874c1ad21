"""The composition root and console script: builds the adapters and hands them to the commands.

No RFC. The only module that knows every part; nothing imports it. Parts are imported when they
are built, so that `--help` is quick and no command pays for what it does not use.
"""

import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING

from smime_proxy.admin.cli.program import run
from smime_proxy.app.connections import find_place
from smime_proxy.app.context import context_without_upstreams, sources_to_ask
from smime_proxy.app.service import serve
from smime_proxy.app.stored import open_configured, token_keys

if TYPE_CHECKING:
    from smime_proxy.admin.cli.adapters import Adapters

FIRST = 1  # the process a container begins with; signals it does not handle are not delivered


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if os.getpid() == FIRST:
        signal.signal(signal.SIGTERM, _end)
    # cryptography on some roots of Mozilla's; what it says would stand before each answer.
    warnings.filterwarnings("ignore", message="Parsed a serial number which wasn't positive")
    sys.exit(run(sys.argv[1:], os.environ, build))


def _end(number: int, _frame: object) -> None:
    """End as the default action would, for which the kernel does not end a first process."""
    sys.exit(128 + number)


def build() -> "Adapters":
    """Build what commands ask for."""
    from smime_proxy.admin.cli.adapters import Adapters

    return Adapters(
        open_store=open_configured,
        context=context_without_upstreams,
        serve=serve,
        token=token_keys,
        place=find_place,
        sources=sources_to_ask,
    )
