"""Whether the directories and the resolver of `[discovery]` can be asked, by asking them.

RFC 4513 (bind and TLS), RFC 4511 4.5 (search), RFC 4035 3.2.3 (the AD bit of a resolver).
"""

import asyncio
from collections.abc import Sequence

from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.lookup.source import Source, SourceUnreachable

SECONDS = 5.0  # for one source; a person waits


async def discovery_findings(sources: Sequence[Source], seconds: float = SECONDS) -> list[Finding]:
    """Try all sources at once, each for so many seconds, and let go of them."""
    faults = await asyncio.gather(*(_fault(source, seconds) for source in sources))
    return [
        Finding(
            Severity.WARNING,
            f"discovery.{source.name.replace(':', '.')}",
            f"it cannot be asked: {fault}",
            "until it can, recipients only it knows count as without a certificate;"
            " `cert discover ADDRESS` asks it about one",
        )
        for source, fault in zip(sources, faults, strict=True)
        if fault
    ]


async def _fault(source: Source, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await source.check()
    except SourceUnreachable as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {seconds:g} seconds"
    finally:
        await source.close()
    return ""
