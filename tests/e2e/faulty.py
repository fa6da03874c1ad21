"""Runs the program given as arguments with a fault nobody foresaw, in the middle of making mail.

Where the work on mail whose Message-ID begins with `<break` is done something raises, below all
that holds passwords, keys and text.
"""

import sys
from typing import Any

from smime_proxy.app import main
from smime_proxy.gateway import work

_carry_out = work._carry_out


def breaking(plan: Any, transform: Any, *rest: Any) -> Any:
    """Do the work, and then fail over it."""
    done = _carry_out(plan, transform, *rest)
    if b"Message-ID: <break" in bytes(transform.entity.header):
        raise RuntimeError("nobody foresaw this")
    return done


if __name__ == "__main__":
    work._carry_out = breaking  # type: ignore[assignment] # the fault
    del sys.argv[0]
    main()
