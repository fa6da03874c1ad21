"""Says a text as the settings want it: in which language, with which contact and subject word.

RFC 5321 4.5.3.1.5 (length of a reply line); code and status are never touched.
"""

from dataclasses import dataclass, replace

from smime_proxy.gateway.particulars import translated
from smime_proxy.gateway.spelling import in_ascii
from smime_proxy.gateway.texts import ADVICE, CONTACT, Language
from smime_proxy.reply import MAX_REPLY_LINE, Reply, Told

MAX_LINE = MAX_REPLY_LINE - len("550 5.77.77 \r\n")  # characters of text on one reply line
_CUT = " ..."


@dataclass(frozen=True, slots=True)
class Wording:
    """How people are told: `languages`, the first for replies; `contact` for refusals or "".

    `plain` is the subject word that sends in clear, "" when it is off.
    """

    languages: tuple[Language, ...] = (Language.ENGLISH,)
    contact: str = ""
    plain: str = "[plain]"

    def advice(self, situation: str, language: Language, instead: str = "") -> str:
        """Say what to do, in Unicode; `instead` is what an administrator wrote for it.

        Raises KeyError for a situation that is not in the catalogue, which is a fault of ours.
        """
        advice = ADVICE[language][situation]
        if instead:
            is_open = instead[-1].isalnum() and "://" not in instead.rpartition(" ")[2]
            return f"{instead}." if is_open else instead  # a URL stays one that can be clicked
        named = advice.plain.format(plain=self.plain) if self.plain.isascii() and self.plain else ""
        return f"{(advice.text + named).rstrip('.')}."

    def contact_line(self, language: Language) -> str:
        """Say whom to ask, in Unicode, or nothing."""
        return f"{CONTACT[language]}: {self.contact}" if self.contact else ""

    def text(self, told: Told, *, refused: bool) -> str:
        """Say a situation in the first language, ASCII: on one line, or on two where that is long.

        Particulars are cut, what to do never is. The contact is for what is `refused` for good.
        """
        language = self.languages[0]
        advice = in_ascii(self.advice(told.situation, language, told.instead))
        contact = in_ascii(self.contact_line(language)) if refused else ""
        todo = f"{advice} {contact}".rstrip()
        particulars = in_ascii(translated(told.particulars, language)).rstrip(".")
        if not particulars:
            return todo
        if len(particulars) + len(". ") + len(todo) <= MAX_LINE:
            return f"{particulars}. {todo}"
        if len(particulars) >= MAX_LINE:
            particulars = particulars[: MAX_LINE - len(_CUT) - 1] + _CUT
        return f"{particulars}.\n{todo}"

    def reply(self, reply: Reply) -> Reply:
        """Say a reply of our own as the settings want it; those of others stay as they are."""
        if reply.told is None:
            return reply
        return replace(reply, text=self.text(reply.told, refused=reply.is_permanent))
