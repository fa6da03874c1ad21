"""What is published is read from time to time, however often strangers ask."""

import asyncio
from collections.abc import Mapping

import pytest

from smime_proxy.admin.publication import FRESH_SECONDS, Publication
from smime_proxy.stores.errors import StoreError


class Shelf:
    """A store that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.broken = False

    def __call__(self) -> Mapping[str, bytes]:
        self.reads += 1
        if self.broken:
            raise StoreError("gone")
        return {"a.crl": b"%d" % self.reads}


async def test_many_requests_are_one_reading() -> None:
    shelf, now = Shelf(), [1000.0]
    publication = Publication(shelf, lambda: now[0])
    found = await asyncio.gather(*(publication.find("a.crl") for _ in range(20)))
    assert set(found) == {b"1"}
    assert [await publication.find(f"{n}.crl") for n in range(20)] == [None] * 20
    now[0] += FRESH_SECONDS - 1
    assert await publication.find("a.crl") == b"1"
    assert shelf.reads == 1
    now[0] += 1
    assert await publication.find("a.crl") == b"2"


async def test_what_was_read_outlives_a_store_that_is_lost() -> None:
    shelf, now = Shelf(), [0.0]
    publication = Publication(shelf, lambda: now[0])
    shelf.broken = True
    with pytest.raises(StoreError):
        await publication.find("a.crl")
    shelf.broken = False
    assert await publication.find("a.crl") == b"2"
    shelf.broken = True
    now[0] += FRESH_SECONDS
    assert await publication.find("a.crl") == b"2"
    assert shelf.reads == 3
    assert await publication.find("a.crl") == b"2"
    assert shelf.reads == 3
