"""What people are told: in the language set, with the contact, whole and within the line."""

from itertools import product

import pytest

from smime_proxy.gateway.replies import REPLIES, reply_for
from smime_proxy.gateway.spelling import MAX_CONTACT, MAX_REFUSAL_TEXT, in_ascii
from smime_proxy.gateway.texts import Language
from smime_proxy.gateway.wording import Wording
from smime_proxy.reply import Reply

ADDRESS = f"{'l' * 64}@{'.'.join(['d' * 60] * 3)}.exampl"  # 254 octets, RFC 5321 4.5.3.1.3
CONTACT = "Ü" + "c" * (MAX_CONTACT - 2)
INSTEAD = "i" * MAX_REFUSAL_TEXT
GERMAN = Wording((Language.GERMAN, Language.ENGLISH), "Büro +49 30 1234")


def test_the_longest_address_is_as_long_as_it_may_be() -> None:
    assert len(ADDRESS) == 254


@pytest.mark.parametrize(("situation", "language"), list(product(REPLIES, Language)))
def test_every_reply_is_whole_ascii_and_within_its_lines(
    situation: str, language: Language
) -> None:
    wording = Wording((language,), CONTACT)
    for detail, instead in product(
        ("", f"{ADDRESS}: no certificate", f"{ADDRESS}, " * 50), ("", INSTEAD)
    ):
        before = reply_for(situation, detail, instead)
        reply = wording.reply(before)
        assert (reply.code, reply.status) == (before.code, before.status)
        wire = reply.encode()
        assert wire.isascii()
        assert b"?" not in wire
        lines = wire.split(b"\r\n")[:-1]
        assert all(len(line) + 2 <= 512 for line in lines)
        # Nothing is lost when it is encoded.
        assert [line[4:].partition(b" ")[2].decode() for line in lines] == reply.text.split("\n")
        assert in_ascii(wording.advice(situation, language, instead)) in reply.text
        assert (in_ascii(wording.contact_line(language)) in reply.text) is reply.is_permanent
        assert not detail or reply.text.startswith(ADDRESS)
        if detail.endswith("certificate"):
            reason = "kein Zertifikat" if language is Language.GERMAN else "no certificate"
            assert f": {reason}." in reply.text


def test_a_short_reply_stays_on_one_line_and_a_long_one_parts_before_what_to_do() -> None:
    short = GERMAN.reply(reply_for("certificate_missing", "a@b.c: no certificate"))
    assert short.text == (
        "a@b.c: kein Zertifikat. Bitten Sie um ein Zertifikat, oder senden Sie ohne"
        " Verschluesselung. Kontakt: Buero +49 30 1234"
    )
    long = GERMAN.reply(reply_for("certificate_missing", "a@b.c: no certificate; " * 30))
    particulars, todo = long.text.split("\n")
    assert particulars.endswith(" ....")
    assert todo.startswith("Bitten Sie um ein Zertifikat")


def test_what_an_administrator_wrote_ends_as_a_sentence_but_for_urls() -> None:
    told = [
        GERMAN.advice("team_gets_no_encrypted", Language.GERMAN, instead)
        for instead in ("Anrufen", "Anrufen!", "Portal: https://x.example/a")
    ]
    assert told == ["Anrufen.", "Anrufen!", "Portal: https://x.example/a"]


def test_what_others_answered_stays_as_it_is() -> None:
    reply = Reply(550, None, "no certificate")
    assert GERMAN.reply(reply) is reply


@pytest.mark.parametrize("language", Language)
def test_the_subject_word_is_the_one_set_and_left_out_when_off(language: Language) -> None:
    assert "[klar]" in Wording(plain="[klar]").advice("certificate_lapsed", language)
    for off in ("", "[für]"):
        advice = Wording(plain=off).advice("certificate_lapsed", language)
        assert "[" not in advice
        assert ";" not in advice
        assert advice.endswith(".")
    braces = Wording(plain="{x}").advice("certificate_lapsed", language)
    assert "{x}" in braces
