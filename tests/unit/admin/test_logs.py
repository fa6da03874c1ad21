import io
import json
import logging
import re
from collections.abc import Iterator
from typing import TextIO, cast

import pytest
import structlog

from smime_proxy.admin.logs import configure, hasher, render_json, render_text


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def logged(level: str, format_: str, addresses: str = "full") -> tuple[io.StringIO, object]:
    stream = io.StringIO()
    configure(level, format_, addresses, stream=stream, hash_key=b"key")
    return stream, structlog.get_logger("test")


def test_a_json_line_is_one_object_with_time_level_and_event_first() -> None:
    stream, _ = logged("info", "json")
    structlog.get_logger().info("delivery", to=["a@example.test"], size=3)
    said = json.loads(stream.getvalue())
    assert list(said)[:3] == ["time", "level", "event"]
    assert said["time"].endswith("Z")
    assert (said["level"], said["event"], said["to"], said["size"]) == (
        "info",
        "delivery",
        ["a@example.test"],
        3,
    )


def test_what_is_below_the_level_is_not_written() -> None:
    stream, _ = logged("warning", "text")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_text_is_one_line_whatever_strangers_wrote() -> None:
    line = render_text(
        None, "info", {"event": "refused\nforged", "helo": "a b\nlevel=error", "to": ["x", "y"]}
    )
    assert "\n" not in line
    assert 'helo="a b\\nlevel=error"' in line
    assert "to=x,y" in line


def test_plain_words_need_no_quotes() -> None:
    event = {"time": "T", "level": "info", "event": "delivery", "id": "4f", "rule": "policy.sign"}
    assert render_text(None, "info", event) == "T info    delivery id=4f rule=policy.sign"


def test_json_writes_what_it_does_not_know_as_text() -> None:
    assert json.loads(render_json(None, "info", {"event": "x", "peer": Exception("gone")})) == {
        "event": "x",
        "peer": "gone",
    }


def test_a_traceback_is_written() -> None:
    stream, _ = logged("info", "text")
    try:
        int("unforeseen")
    except ValueError:
        structlog.get_logger().exception("internal error", id="4f")
    assert "internal error id=4f\n| Traceback" in stream.getvalue()
    assert "\n| ValueError: " in stream.getvalue()


FORGED = "2026-01-01T00:00:00Z info    delivery id=forged reply=250"
HOSTILE = (
    f"x\r\n{FORGED}",
    f"x\n{FORGED}",
    f"x\x1b[2J\x1b]0;title\x07{FORGED}",
    f"x\u2028{FORGED}\u2029\x85\x0b\x0c",
    "\u202egnp.exe\u2066 \ud800 \udcff \x00\x9b",
    'x" reply="250',
    "x reply=250",
)


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def quoting(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_strangers_write_makes_a_line_or_a_field_or_moves_a_cursor(
    format_: str, text: str
) -> None:
    """Message-IDs, HELO names, addresses, replies, and whatever an exception quotes of them."""
    stream, _ = logged("info", format_)
    log = structlog.get_logger()
    log.info("delivery", message_id=text, to=[text, text], reply=text, error=ValueError(text))
    log.warning(text)
    try:
        quoting(text)
    except ValueError:
        log.exception("internal error", id="4f")
    shown = stream.getvalue()
    assert shown.isascii()
    assert all(line.isprintable() for line in shown.split("\n"))
    ours = [line for line in shown.rstrip("\n").split("\n") if not line.startswith("| ")]
    assert len(ours) == 3
    assert not any(line.startswith("2026-01-01") for line in ours)
    if format_ == "text":
        bare = [_STRING.sub("", line) for line in ours]
        assert [line.count(" reply=") for line in bare] == [1, 0, 0]
    else:
        assert [json.loads(line)["event"] for line in ours] == ["delivery", text, "internal error"]


def test_hashed_addresses_appear_nowhere_and_stay_comparable() -> None:
    stream, _ = logged("info", "json", "hashed")
    structlog.get_logger().info(
        "delivery",
        sender="Alice@example.test",
        to=["alice@example.test", "bob@example.test"],
        reply="550 5.1.1 <bob@example.test>: no such user",
        size=3,
    )
    shown = stream.getvalue()
    assert "@" not in shown
    said = json.loads(shown)
    assert said["sender"] == said["to"][0] != said["to"][1]
    assert said["reply"] == f"550 5.1.1 <{said['to'][1]}>: no such user"
    assert said["size"] == 3


def test_another_key_gives_other_hashes() -> None:
    event = {"sender": "a@example.test", "error": KeyError("a@example.test")}
    one, other = hasher(b"1")(None, "info", dict(event)), hasher(b"2")(None, "info", dict(event))
    assert one["sender"] != other["sender"]
    assert "@" not in str(one["error"])


def test_libraries_speak_from_warning_on_through_the_same_log() -> None:
    stream, _ = logged("info", "json")
    logging.getLogger("asyncio").info("quiet")
    logging.getLogger("asyncio").warning("slow %s", "loop")
    logging.getLogger("mail.log").error("what a client said")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["slow loop"]


class Full:
    """A stream on a disk that is full."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    configure("info", "text", "full", stream=cast("TextIO", Full()))
    structlog.get_logger().info("delivery")
    structlog.get_logger().error("refused")


def test_text_that_is_no_unicode_is_still_written(capsys: pytest.CaptureFixture[str]) -> None:
    for format_ in ("json", "text"):
        configure("info", format_, "full")
        structlog.get_logger().info("session", helo="\udcff", to=["ä@example.test"])
    assert capsys.readouterr().out.count("udcff") == 2
