"""The request words of the settings, as the message reads them."""

from smime_proxy.message.requests import DEFAULT_WORDS, Request
from smime_proxy.policy.rules import RequestWords, subject_words


def test_the_default_words_are_the_documented_ones() -> None:
    assert subject_words(RequestWords()) == DEFAULT_WORDS


def test_an_empty_word_is_off_and_case_does_not_matter() -> None:
    assert subject_words(RequestWords(sign="", encrypt="[Secret]", plain="")) == {
        "[secret]": Request.ENCRYPT
    }
