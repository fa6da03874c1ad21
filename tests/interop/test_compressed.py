"""CompressedData as Bouncy Castle writes it, in one piece and as a stream (RFC 3274)."""

from itertools import product

import pytest

from smime_proxy.cms.compress import decompress
from tests.interop.bouncycastle import BouncyCastle

pytestmark = pytest.mark.interop

TEXT = b"Content-Type: text/plain\r\n\r\n" + b"Hello, all of you.\r\n" * 20_000


@pytest.mark.parametrize(("content", "form"), list(product([b"", TEXT], [(), ("stream",)])))
def test_what_bouncy_castle_compresses_is_read(
    bouncycastle: BouncyCastle, content: bytes, form: tuple[str, ...]
) -> None:
    assert decompress(bouncycastle.compress(content, form)) == content
