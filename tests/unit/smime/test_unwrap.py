"""The names by which signatures are taken off cost no command its start."""

import subprocess
import sys

SETTINGS_ALONE = """
import sys
import smime_proxy.settings
from smime_proxy.smime.unwrap import Unwrap
sys.exit(" ".join(name for name in ("cryptography", "asn1crypto") if name in sys.modules))
"""


def test_settings_name_them_without_loading_cryptography() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS_ALONE], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
