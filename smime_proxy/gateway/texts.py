"""What people are told to do, by situation and language; docs/replies.md shows the same words.

No RFC. German keeps its umlauts here; replies write them in ASCII (`gateway.spelling`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Language(Enum):
    """A language people are told things in; the values are those of RFC 5646."""

    ENGLISH = "en"
    GERMAN = "de"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do; `plain` goes on about the subject word, named by {plain}, where there is one."""

    text: str
    plain: str = ""


@dataclass(frozen=True, slots=True)
class ReportTexts:
    """What stands around the recipients of a report; {mta} is our name, {names} the address."""

    subject: str
    opening: str
    team: str
    refused: str


_ENGLISH = {
    "from_not_granted": Advice(
        "Use your own address in From, or ask the administrator to grant this one."
    ),
    "field_required": Advice(
        "Only mail of our own organisation is taken here: use your own submission server."
    ),
    "key_missing": Advice("This account must sign: ask the administrator to import a valid key."),
    "key_unavailable": Advice(
        "The key cannot be loaded now; the message was not sent, try again later."
    ),
    "certificate_missing": Advice("Ask for a certificate, or send without encryption."),
    "status_unknown": Advice(
        "Whether the certificate was revoked cannot be told now; nothing was sent, try again later."
    ),
    "certificate_lapsed": Advice(
        "Ask for a signed mail, it brings a new one", "; {plain} sends this one in clear"
    ),
    "after_decryption": Advice(
        "Ask for a signed mail, it brings a certificate; or ask the administrator about"
        " after_decryption."
    ),
    "directory_unreachable": Advice(
        "Whether there is a certificate cannot be found out now: try again later."
    ),
    "meeting_not_encrypted": Advice(
        "Invitations are never encrypted: send it without the request to encrypt."
    ),
    "team_sends_no_encrypted": Advice("Send it unencrypted, or from a personal address."),
    "team_gets_no_encrypted": Advice(
        "It is read by several people: send it unencrypted, or write to a person."
    ),
    "team_after_decryption": Advice(
        "Write from and to persons, or ask the administrator about after_decryption."
    ),
    "malformed": Advice("The message cannot be read safely: have the sending program mended."),
    "bad_request": Advice(
        "X-SMIME-Sign and X-SMIME-Encrypt take the value yes: mend or remove them."
    ),
    "bare_line_end": Advice(
        "Bare CR or LF in the message: lines must end in CRLF, RFC 5321 2.3.8."
    ),
    "too_many_groups": Advice(
        "Too many separate copies for one message: send it to fewer recipients at a time."
    ),
    "too_big": Advice("The message is too big: send less, or a link instead of the attachment."),
    "mail_loop": Advice("The message goes round in a loop: mend the forwarding."),
    "no_smtputf8": Advice(
        "The next server does not take internationalised mail: use ASCII addresses."
    ),
    "needs_8bit": Advice("The next server takes 7-bit mail only: send it as an attachment."),
    "no_requiretls": Advice(
        "The next server cannot promise TLS all the way: send it without REQUIRETLS."
    ),
    "requiretls_in_clear": Advice("REQUIRETLS is for sessions under TLS: say STARTTLS first."),
    "bad_parameter": Advice("The command has characters that cannot be sent on: mend the program."),
    "storage_full": Advice("No space to store mail now: try again later."),
    "relay_denied": Advice("This server does not relay for you: use your own submission server."),
    "too_many_recipients": Advice(
        "Too many recipients in one transaction: send the rest in another one."
    ),
    "upstream_unreachable": Advice(
        "The next mail server cannot be reached; nothing was sent, try again later."
    ),
    "no_access_token": Advice(
        "Logging in at the next mail server is not possible now; nothing was sent, try again later."
    ),
    "upstream_lost": Advice("The connection to the next mail server was lost: try again later."),
    "offer_withdrawn": Advice(
        "The next mail server no longer offers it: connect anew and try again."
    ),
    "unanswered": Advice(
        "The message may have been sent, the next server did not answer: send it again later."
    ),
    "out_of_time": Advice(
        "The next mail server takes too long; nothing was sent, try again later."
    ),
    "being_sent": Advice("This very message is being sent at this moment: try again later."),
    "ledger_failed": Advice(
        "Who has the message could not be remembered; nothing was sent, try again later."
    ),
    "partly_sent": Advice("Send the same message again for the rest."),
    "partly_refused": Advice("The others have the message: do not send it to them again."),
    "memory_spent": Advice("Out of memory for mail now: try again later."),
    "shutting_down": Advice("The service is shutting down: try again."),
    "overloaded": Advice("Too many sessions: try again later."),
    "too_busy": Advice("The service is too busy now: try again later."),
    "mail_put_off": Advice("The service is too busy now; nothing was sent, try again later."),
    "memory_unreadable": Advice(
        "Whether it answers encrypted mail cannot be told now: try again later."
    ),
    "internal_error": Advice("Internal error; not sent, try again later."),
}

_GERMAN = {
    "from_not_granted": Advice(
        "Verwenden Sie im Feld From Ihre eigene Adresse, oder bitten Sie den Administrator, Ihnen"
        " diese freizugeben."
    ),
    "field_required": Advice(
        "Hier wird nur E-Mail der eigenen Organisation angenommen: Bitte verwenden Sie Ihren"
        " eigenen Postausgangsserver."
    ),
    "key_missing": Advice(
        "Dieses Konto muss signieren: Bitten Sie den Administrator, einen gültigen Schlüssel"
        " einzuspielen."
    ),
    "key_unavailable": Advice(
        "Der Schlüssel kann zurzeit nicht geladen werden; die Nachricht wurde nicht gesendet."
        " Bitte versuchen Sie es später erneut."
    ),
    "certificate_missing": Advice(
        "Bitten Sie um ein Zertifikat, oder senden Sie ohne Verschlüsselung."
    ),
    "status_unknown": Advice(
        "Ob das Zertifikat gesperrt ist, lässt sich zurzeit nicht feststellen; es wurde nichts"
        " gesendet. Bitte versuchen Sie es später erneut."
    ),
    "certificate_lapsed": Advice(
        "Bitten Sie um eine signierte Nachricht, sie bringt ein neues mit",
        "; mit {plain} im Betreff geht diese unverschlüsselt ab",
    ),
    "after_decryption": Advice(
        "Bitten Sie um eine signierte Nachricht, sie bringt ein Zertifikat mit; oder fragen Sie den"
        " Administrator nach after_decryption."
    ),
    "directory_unreachable": Advice(
        "Ob es ein Zertifikat gibt, lässt sich zurzeit nicht feststellen: Bitte versuchen Sie es"
        " später erneut."
    ),
    "meeting_not_encrypted": Advice(
        "Einladungen werden nie verschlüsselt: Bitte senden Sie sie, ohne Verschlüsselung zu"
        " verlangen."
    ),
    "team_sends_no_encrypted": Advice(
        "Bitte senden Sie unverschlüsselt oder von einer persönlichen Adresse aus."
    ),
    "team_gets_no_encrypted": Advice(
        "Dort lesen mehrere Personen mit: Bitte senden Sie unverschlüsselt, oder schreiben Sie an"
        " eine Person."
    ),
    "team_after_decryption": Advice(
        "Bitte schreiben Sie von Person zu Person, oder fragen Sie den Administrator nach"
        " after_decryption."
    ),
    "malformed": Advice(
        "Die Nachricht kann nicht sicher gelesen werden: Bitte lassen Sie das sendende Programm in"
        " Ordnung bringen."
    ),
    "bad_request": Advice(
        "X-SMIME-Sign und X-SMIME-Encrypt dürfen nur den Wert yes haben: Bitte berichtigen oder"
        " entfernen Sie sie."
    ),
    "bare_line_end": Advice(
        "Einzelnes CR oder LF in der Nachricht: Zeilen müssen mit CRLF enden, RFC 5321 2.3.8."
        " Bitte lassen Sie das sendende Programm in Ordnung bringen."
    ),
    "too_many_groups": Advice(
        "Zu viele verschiedene Ausfertigungen einer Nachricht: Bitte senden Sie sie an weniger"
        " Empfänger auf einmal."
    ),
    "too_big": Advice(
        "Die Nachricht ist zu groß: Bitte senden Sie weniger, oder einen Link statt des Anhangs."
    ),
    "mail_loop": Advice("Die Nachricht läuft im Kreis: Bitte berichtigen Sie die Weiterleitung."),
    "no_smtputf8": Advice(
        "Der nächste Server nimmt keine internationalisierte E-Mail an: Bitte verwenden Sie"
        " Adressen in ASCII."
    ),
    "bad_parameter": Advice(
        "Der Befehl enthält Zeichen, die nicht weitergegeben werden können: Bitte lassen Sie das"
        " sendende Programm in Ordnung bringen."
    ),
    "needs_8bit": Advice(
        "Der nächste Server nimmt nur 7-Bit-Nachrichten: Bitte senden Sie es als Anhang."
    ),
    "no_requiretls": Advice(
        "Der nächste Server kann TLS nicht für den ganzen Weg zusagen: Bitte senden Sie ohne"
        " REQUIRETLS."
    ),
    "requiretls_in_clear": Advice(
        "REQUIRETLS gilt für Sitzungen unter TLS: Bitte lassen Sie zuerst STARTTLS einschalten."
    ),
    "storage_full": Advice(
        "Zurzeit ist kein Platz für E-Mail: Bitte versuchen Sie es später erneut."
    ),
    "relay_denied": Advice(
        "Dieser Server leitet für Sie nichts weiter: Bitte verwenden Sie Ihren eigenen"
        " Postausgangsserver."
    ),
    "too_many_recipients": Advice(
        "Zu viele Empfänger in einer Übertragung: Bitte senden Sie an die übrigen in einer"
        " weiteren."
    ),
    "upstream_unreachable": Advice(
        "Der nächste Mailserver ist nicht erreichbar; es wurde nichts gesendet. Bitte versuchen"
        " Sie es später erneut."
    ),
    "no_access_token": Advice(
        "Die Anmeldung am nächsten Mailserver ist zur Zeit nicht möglich; es wurde nichts gesendet."
        " Bitte versuchen Sie es später erneut."
    ),
    "upstream_lost": Advice(
        "Die Verbindung zum nächsten Mailserver ist abgerissen: Bitte versuchen Sie es später"
        " erneut."
    ),
    "offer_withdrawn": Advice(
        "Der nächste Mailserver bietet es nicht mehr an: Bitte verbinden Sie sich neu und versuchen"
        " Sie es noch einmal."
    ),
    "unanswered": Advice(
        "Die Nachricht ist vielleicht gesendet, der nächste Server hat nicht geantwortet: Bitte"
        " senden Sie sie später noch einmal."
    ),
    "out_of_time": Advice(
        "Der nächste Mailserver braucht zu lange; es wurde nichts gesendet. Bitte versuchen Sie es"
        " später erneut."
    ),
    "being_sent": Advice(
        "Eben diese Nachricht wird gerade gesendet: Bitte versuchen Sie es später erneut."
    ),
    "ledger_failed": Advice(
        "Wer die Nachricht hat, konnte nicht vermerkt werden; es wurde nichts gesendet. Bitte"
        " versuchen Sie es später erneut."
    ),
    "partly_sent": Advice("Bitte senden Sie dieselbe Nachricht für die übrigen noch einmal."),
    "partly_refused": Advice(
        "Die anderen haben die Nachricht: Bitte senden Sie sie ihnen nicht noch einmal."
    ),
    "memory_spent": Advice(
        "Zurzeit ist kein Arbeitsspeicher für E-Mail frei: Bitte versuchen Sie es später erneut."
    ),
    "shutting_down": Advice("Der Dienst wird gerade beendet: Bitte versuchen Sie es erneut."),
    "overloaded": Advice("Zu viele Verbindungen: Bitte versuchen Sie es später erneut."),
    "too_busy": Advice("Der Dienst ist überlastet: Bitte versuchen Sie es später erneut."),
    "mail_put_off": Advice(
        "Der Dienst ist überlastet; nichts wurde gesendet, bitte versuchen Sie es später erneut."
    ),
    "memory_unreadable": Advice(
        "Ob sie eine verschlüsselte Nachricht beantwortet, lässt sich zurzeit nicht feststellen:"
        " Bitte versuchen Sie es später erneut."
    ),
    "internal_error": Advice(
        "Interner Fehler; nicht gesendet. Bitte versuchen Sie es später erneut."
    ),
}

ADVICE: Mapping[Language, Mapping[str, Advice]] = MappingProxyType(
    {
        Language.ENGLISH: MappingProxyType(_ENGLISH),
        Language.GERMAN: MappingProxyType(_GERMAN),
    }
)
CONTACT: Mapping[Language, str] = MappingProxyType(
    {Language.ENGLISH: "Contact", Language.GERMAN: "Kontakt"}
)
REPORT: Mapping[Language, ReportTexts] = MappingProxyType(
    {
        Language.ENGLISH: ReportTexts(
            "Undelivered Mail Returned to Sender",
            "This is the mail system at {mta}.\n\nYour message could not be delivered to the"
            " recipients below; nothing was sent to them.",
            "{names} is a team account.",
            "The mail server of the recipient refused it: mend the address or write otherwise.",
        ),
        Language.GERMAN: ReportTexts(
            "Ihre Nachricht wurde nicht zugestellt",
            "Dies ist das Mailsystem auf {mta}.\n\nIhre Nachricht konnte den unten genannten"
            " Empfängern nicht zugestellt werden; an sie wurde nichts gesendet.",
            "{names} ist ein Teamkonto.",
            "Der Mailserver des Empfängers hat die Nachricht abgelehnt: Bitte berichtigen Sie die"
            " Adresse, oder schreiben Sie auf anderem Weg.",
        ),
    }
)
