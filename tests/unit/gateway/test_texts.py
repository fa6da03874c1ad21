"""The catalogue: every situation in every language, short enough and writable in ASCII."""

import pytest

from smime_proxy.gateway.replies import REPLIES
from smime_proxy.gateway.spelling import in_ascii
from smime_proxy.gateway.texts import ADVICE, CONTACT, REPORT, Language

MAX_ADVICE = 200  # characters in ASCII; as long as a refusal text may be


@pytest.mark.parametrize("language", Language)
def test_every_situation_is_told_in_every_language(language: Language) -> None:
    assert set(ADVICE[language]) == set(REPLIES)
    assert language in CONTACT
    assert language in REPORT


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("situation", list(REPLIES))
def test_advice_is_short_and_can_be_written_in_ascii(situation: str, language: Language) -> None:
    advice = ADVICE[language][situation]
    written = in_ascii(advice.text + advice.plain)
    assert 20 < len(written) <= MAX_ADVICE
    assert "?" not in written
    assert "{" not in advice.text


def test_german_is_another_text_with_umlauts() -> None:
    german, english = ADVICE[Language.GERMAN], ADVICE[Language.ENGLISH]
    assert not {name for name in german if german[name].text == english[name].text}
    assert "Schlüssel" in german["key_missing"].text
    assert all(" du " not in f" {advice.text.lower()} " for advice in german.values())
