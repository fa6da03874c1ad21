"""Key files of declared accounts that the service cannot follow.

No RFC; access(2).
"""

import os
from collections.abc import Iterator

from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.settings.errors import dotted
from smime_proxy.settings.model import Settings


def file_findings(settings: Settings) -> Iterator[Finding]:
    """Look at files that may not be read; called as the user the service runs as."""
    for name, table in settings.accounts.items():
        for key, file in table.files:
            if not os.access(file, os.R_OK):
                yield Finding(
                    Severity.NOTE,
                    dotted(("accounts", name, key)),
                    f"{file} may not be read by the service's user: a change is noticed at the next"
                    " start only",
                    "let that user, or a group of his, read it",
                )
