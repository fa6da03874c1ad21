"""The particulars of refusals in other languages: known sentences translated, the rest as it is.

No RFC. Sentences are made in English where the facts are, in `policy`, `certs` and `message`; what
comes from elsewhere, such as a certificate's fault in detail, stays as it was written.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from smime_proxy.gateway.texts import Language

_GERMAN = (
    (r"the field (\S+) does not say that the mail is ours", r"das Feld \1 weist sie nicht aus"),
    (r"login (\S+) was not granted (\S+)", r"Anmeldung \1 darf \2 nicht verwenden"),
    (
        r"a meeting (\S+) cannot be encrypted",
        r"eine Terminnachricht (\1) kann nicht verschlüsselt werden",
    ),
    (r"(, \S+) is a team account", r"\1 sind Teamkonten"),
    (r"is a team account", "ist ein Teamkonto"),
    (r"\bno certificate\b", "kein Zertifikat"),
    (r"\bno valid key\b", "kein gültiger Schlüssel"),
    (r"its certificate expired on (\S+)", r"das Zertifikat ist am \1 abgelaufen"),
    (r"the certificate of (\S+) expired on (\S+)", r"das Zertifikat von \1 ist am \2 abgelaufen"),
    (r"its certificate is no longer valid", "das Zertifikat gilt nicht mehr"),
    (r"the certificate of (\S+) is no longer valid", r"das Zertifikat von \1 gilt nicht mehr"),
    (r"its certificate lost its chain", "die Kette des Zertifikats gilt nicht mehr"),
    (r"its chain is \S+: ", "der Kette des Zertifikats wird nicht vertraut: "),
    (
        r"its key usage does not allow encrypting mail",
        "das Zertifikat ist nicht zum Verschlüsseln von E-Mail bestimmt",
    ),
    (
        r"its key usage does not allow signing mail",
        "das Zertifikat ist nicht zum Signieren von E-Mail bestimmt",
    ),
    (r"does not carry (\S+)", r"das Zertifikat nennt \1 nicht"),
    (r"a former key, which only decrypts", "ein früherer Schlüssel, der nur noch entschlüsselt"),
    (r"\bmore than (\d+) copies", r"mehr als \1 Ausfertigungen"),
    (
        r"(\d+) octets after protection, the next server takes (\d+)",
        r"\1 Oktette mit Signatur und Verschlüsselung, der nächste Server nimmt \2",
    ),
    (
        r"(\d+) of (\d+) recipients have the message",
        r"\1 von \2 Empfängern haben die Nachricht",
    ),
    (r"; the rest was refused: ", "; die übrigen wurden abgelehnt: "),
    (r"^Nothing was sent$", "Es wurde nichts gesendet"),
    (r"^The message may have been sent$", "Die Nachricht wurde vielleicht gesendet"),
    (r"^The message cannot be stored$", "Die Nachricht kann nicht gespeichert werden"),
    (r"(\S+) must say yes", r"\1 muss yes lauten"),
    (r"the MIME structure is too deep", "die MIME-Struktur ist zu tief"),
    (r"the message has too many parts", "die Nachricht hat zu viele Teile"),
    (r"the header block is too large", "der Kopf ist zu groß"),
    (r"a header field is too large", "ein Kopffeld ist zu groß"),
    (r"a line of the header is no field", "eine Zeile des Kopfes ist kein Feld"),
)
SENTENCES: Mapping[Language, tuple[tuple[re.Pattern[str], str], ...]] = MappingProxyType(
    {Language.GERMAN: tuple((re.compile(found), said) for found, said in _GERMAN)}
)


def translated(particulars: str, language: Language) -> str:
    """Give the particulars of a refusal with every known English sentence in the language."""
    for sentence, said in SENTENCES.get(language, ()):
        particulars = sentence.sub(said, particulars)
    return particulars
