"""CompressedData as Bouncy Castle writes it, in one piece and as a stream (RFC 3274)."""

import subprocess
from pathlib import Path

import pytest

from smime_proxy.cms.compress import decompress
from tests.peers import locate, require

pytestmark = pytest.mark.interop
require("bouncycastle")

SOURCE = Path(__file__).with_name("Compressed.java")
JARS = ("bcmail", "bcpkix", "bcutil", "bcprov")
TEXT = b"Content-Type: text/plain\r\n\r\n" + b"Hello, all of you.\r\n" * 20_000


@pytest.mark.parametrize("content", [b"", TEXT])
def test_what_bouncy_castle_compresses_is_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(content)
    path = ":".join(f"/usr/share/java/{name}.jar" for name in JARS)
    command = [str(locate("java")), "-cp", path, str(SOURCE), "in", "whole", "stream"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    for name in ("whole", "stream"):
        assert decompress((tmp_path / name).read_bytes()) == content
