"""Sentences inside refusals are translated, addresses in them stay as they are."""

import pytest

from smime_proxy.gateway.particulars import SENTENCES, translated
from smime_proxy.gateway.texts import Language

SAID = {
    "login eve was not granted a@b.c": "Anmeldung eve darf a@b.c nicht verwenden",
    "t@b.c is a team account": "t@b.c ist ein Teamkonto",
    "t@b.c, u@b.c is a team account": "t@b.c, u@b.c sind Teamkonten",
    "a@b.c: no certificate": "a@b.c: kein Zertifikat",
    "a@b.c: its certificate expired on 2021-01-01": (
        "a@b.c: das Zertifikat ist am 2021-01-01 abgelaufen"
    ),
    "9 octets after protection, the next server takes 8": (
        "9 Oktette mit Signatur und Verschlüsselung, der nächste Server nimmt 8"
    ),
    "1 of 3 recipients have the message; the rest was refused: 550 5.1.1 no": (
        "1 von 3 Empfängern haben die Nachricht; die übrigen wurden abgelehnt: 550 5.1.1 no"
    ),
    "Nothing was sent": "Es wurde nichts gesendet",
    "x-smime-sign must say yes": "x-smime-sign muss yes lauten",
    "id 4abc": "id 4abc",
}


@pytest.mark.parametrize(("english", "german"), SAID.items())
def test_known_sentences_are_german(english: str, german: str) -> None:
    assert translated(english, Language.GERMAN) == german
    assert translated(english, Language.ENGLISH) == english


def test_no_sentence_is_translated_twice() -> None:
    for _, said in SENTENCES[Language.GERMAN]:
        plain = said.replace("\\1", "x").replace("\\2", "y")
        assert translated(plain, Language.GERMAN) == plain
