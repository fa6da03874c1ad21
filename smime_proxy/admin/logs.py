"""The log of the service: one line an event, as text or JSON, without content or keys.

RFC 3339 (times); RFC 2104 (HMAC, for hashed addresses).
"""

import hashlib
import hmac
import json
import logging
import re
import secrets
import sys
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

HASH_DIGITS = 16  # hexadecimal; tells the addresses of one organisation apart
_JSON = json.JSONEncoder(default=str)  # `dumps` would make one for each line
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_ADDRESS = re.compile(r"[^\s<>()\[\]\",;:=]+@[^\s<>()\[\]\",;:=]+")
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # what needs no quotes behind `name=`
_WORDS = re.compile(r"[ !#-<>-~]*")  # what needs none as the event: nothing that looks like a field
_MARGIN = (
    "| "  # before each line of a traceback: what an exception says may look like a line of ours
)

Event = MutableMapping[str, Any]


class Lines:
    """Writes lines to a stream; what cannot be written is lost, and nothing else with it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write one line now. A full disk or a reader that left must not turn mail away."""
        with suppress(OSError, ValueError), self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


def configure(
    level: str,
    format_: str,
    addresses: str,
    *,
    stream: TextIO | None = None,
    hash_key: bytes | None = None,
) -> None:
    """Set the log up for this process; the values are those of `[log]`.

    `stream` is by default standard output. `hash_key` keeps hashed addresses comparable between
    processes; by default a new one, so that hashes mean nothing after a restart.
    """
    lines = Lines(stream or sys.stdout)
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    if addresses == "hashed":
        processors.append(hasher(hash_key or secrets.token_bytes(32)))
    processors.append(render_json if format_ == "json" else render_text)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    _adopt_library_logs()


def hasher(key: bytes) -> Callable[[Any, str, Event], Event]:
    """Make the step that replaces every mail address in an event by a keyed hash of it."""

    def replaced(match: re.Match[str]) -> str:
        digest = hmac.new(key, match[0].lower().encode("utf-8", "replace"), hashlib.sha256)
        return f"hash:{digest.hexdigest()[:HASH_DIGITS]}"

    def clean(value: Any) -> Any:
        match value:
            case str():
                return _ADDRESS.sub(replaced, value)
            case list() | tuple():
                return [clean(item) for item in value]
            case bool() | int() | float() | None:
                return value
            case _:
                return _ADDRESS.sub(replaced, str(value))

    def step(_logger: Any, _method: str, event: Event) -> Event:
        return {name: clean(value) for name, value in event.items()}

    return step


def render_json(_logger: Any, _method: str, event: Event) -> str:
    """Write an event as one JSON object on one line."""
    return _JSON.encode(_in_order(event))


def render_text(_logger: Any, _method: str, event: Event) -> str:
    """Write an event as `time level event name=value ...`; a traceback follows, with a margin."""
    ordered = _in_order(event)
    traceback = ordered.pop("exception", "")
    head = f"{ordered.pop('time', '')} {ordered.pop('level', ''):7} {ordered.pop('event', '')}"
    words = (f"{name}={_text(value)}" for name, value in ordered.items())
    line = " ".join((_one_line(head), *words))
    return "\n".join((line, *(_MARGIN + _printable(each) for each in traceback.splitlines())))


def _in_order(event: Event) -> dict[str, Any]:
    first = {name: event[name] for name in ("time", "level", "event") if name in event}
    return first | {name: value for name, value in event.items() if name not in first}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    text = str(value)
    # JSON's escapes keep what strangers wrote on one line.
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=True)


def _one_line(text: str) -> str:
    return text if _WORDS.fullmatch(text) else json.dumps(text)


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else json.dumps(text)[1:-1]


class _Adopted(logging.Handler):
    """Passes what libraries log on to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record of the standard library's logging."""
        logger = structlog.get_logger(record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)


def _adopt_library_logs() -> None:
    """Let libraries speak from `warning` on; aiosmtpd's own log quotes what clients say."""
    logging.basicConfig(handlers=[_Adopted()], level=logging.WARNING, force=True)
    logging.getLogger("mail").setLevel(logging.CRITICAL)
