"""A process of which nothing is ever dumped."""

import subprocess
import sys

SCRIPT = """
import resource
from pathlib import Path
from smime_proxy.smtp.core_dumps import forbid_core_dumps
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
assert int(Path("/proc/self/coredump_filter").read_text(), 16)
forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), Path("/proc/self/coredump_filter").read_text())
"""


def test_neither_a_file_nor_a_program_gets_its_memory() -> None:
    line = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert said == "(0, 0) 00000000\n\n"
