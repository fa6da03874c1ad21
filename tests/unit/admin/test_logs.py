import io
import json
import logging
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
    assert "internal error id=4f\nTraceback" in stream.getvalue()
    assert "ValueError: " in stream.getvalue()


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
