"""A missing peer is said aloud on a developer's machine and fails where CI=true."""

from pathlib import Path

import pytest

from tests.peers import PEERS, Peer, corpora, missing, packages_missing, require, under_ci

ABSENT = {"phantom": Peer(("no-such-program",), ("phantom-package",))}


def test_a_missing_peer_skips_with_the_package_that_would_bring_it() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install phantom-package"):
        require("phantom", peers=ABSENT, environ={})


def test_a_missing_peer_fails_under_ci() -> None:
    with pytest.raises(pytest.fail.Exception, match="phantom is missing"):
        require("phantom", peers=ABSENT, environ={"CI": "true"})


def test_a_peer_that_is_here_is_returned_as_its_path() -> None:
    here = {"shell": Peer(("sh",), ("dash",))}
    assert require("shell", peers=here, environ={"CI": "true"}).name == "sh"


def test_a_peer_that_lacks_one_of_its_parts_is_missing(tmp_path: Path) -> None:
    jar = tmp_path / "library.jar"
    peer = Peer(("sh", str(jar)), ("library",))
    assert missing(peer) == [str(jar)]
    assert packages_missing([peer]) == ["library"]
    jar.touch()
    assert missing(peer) == []
    assert packages_missing([peer]) == []


def test_an_unknown_peer_is_a_mistake_in_the_test() -> None:
    with pytest.raises(KeyError):
        require("unheard-of")


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("", False)])
def test_ci_is_told_by_its_variable(value: str, expected: bool) -> None:
    assert under_ci({"CI": value}) is expected


def test_tests_without_the_mail_collections_are_skipped_even_under_ci(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="SMIME_CORPORA"):
        corpora("mail", environ={"CI": "true"})
    with pytest.raises(pytest.skip.Exception, match="have no"):
        corpora("mail", environ={"SMIME_CORPORA": str(tmp_path)})
    (tmp_path / "mail").mkdir()
    assert corpora("mail", environ={"SMIME_CORPORA": str(tmp_path)}) == tmp_path / "mail"


def test_every_peer_names_its_packages() -> None:
    assert all(peer.needs and peer.packages for peer in PEERS.values())
