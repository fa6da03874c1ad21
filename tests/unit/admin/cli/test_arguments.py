import pytest

from smime_proxy.admin.cli.arguments import mailbox, sent_copy
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.settings import Settings

SETTINGS = Settings.model_validate({"upstreams": {"archive": {"url": "maildir:///m"}}})


def test_an_address_is_one_clean_mailbox() -> None:
    assert mailbox("a@example.test").text == "a@example.test"
    with pytest.raises(CommandError, match="is not an address"):
        mailbox("a@example.test\n")


@pytest.mark.parametrize("place", ["", "upstream:archive", "maildir:///srv/{address}"])
def test_places_of_sent_copies_are_taken(place: str) -> None:
    assert sent_copy(place, SETTINGS) == place


@pytest.mark.parametrize("place", ["upstream:other", "archive", "maildir://x"])
def test_other_places_of_sent_copies_are_refused(place: str) -> None:
    with pytest.raises(CommandError, match="--sent-copy"):
        sent_copy(place, SETTINGS)
