"""Mail that was sent, read file by file: what is no mail is named, and nothing waits for ever."""

import os
from pathlib import Path

import pytest

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.sent_files import SentFile, reading, sent_files

LIMIT = 1000
MAIL = b"From: a@example.test\nTo: b@example.org\n\ntext\n"


def found(path: Path) -> dict[str, bytes | str]:
    return {one.name: one.reason if one.raw is None else one.raw for one in sent_files(path, LIMIT)}


def test_a_maildir_gives_what_is_new_and_what_was_read(tmp_path: Path) -> None:
    for folder in ("cur", "new", "tmp"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"1.{folder}:2,S").write_bytes(MAIL)
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V1")
    assert found(tmp_path) == {"cur/1.cur:2,S": MAIL, "new/1.new:2,S": MAIL}


def test_a_directory_gives_its_eml_files(tmp_path: Path) -> None:
    (tmp_path / "a.EML").write_bytes(MAIL)
    (tmp_path / "notes.txt").write_bytes(b"no mail")
    assert found(tmp_path) == {"a.EML": MAIL}


def test_an_mbox_gives_each_mail_and_a_file_its_one(tmp_path: Path) -> None:
    line = b"From a@example.test Mon Jun  1 12:00:00 2026\n"
    body = MAIL + b"From now on this is text\n\n"
    (tmp_path / "sent").write_bytes(line + body + line + MAIL)
    assert found(tmp_path / "sent") == {"sent#1": body, "sent#2": MAIL}
    (tmp_path / "one.eml").write_bytes(MAIL)
    assert found(tmp_path / "one.eml") == {"one.eml": MAIL}


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "dir.eml").mkdir()
    os.mkfifo(tmp_path / "fifo.eml")
    (tmp_path / "gone.eml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "large.eml").write_bytes(MAIL * 100)
    (tmp_path / "empty.eml").write_bytes(b"")
    box = b"From a Mon Jun  1 12:00:00 2026\n"
    (tmp_path / "box.eml").write_bytes(box + MAIL + b"x\n" * 600 + b"\n" + box + MAIL)
    assert found(tmp_path) == {
        "box.eml#1": "larger than max_message_size",
        "box.eml#2": MAIL,
        "dir.eml": "Is a directory",
        "empty.eml": "it is empty",
        "fifo.eml": "not a file",
        "gone.eml": "No such file or directory",
        "large.eml": "larger than max_message_size",
    }
    with pytest.raises(CommandError, match="nowhere: No such file"):
        found(tmp_path / "nowhere")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of the test's own threads
def test_another_process_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "a\udce4.eml").write_bytes(MAIL)
    (tmp_path / "empty.eml").write_bytes(b"")
    with reading(tmp_path, LIMIT, apart=True) as apart:
        assert list(apart) == [
            SentFile("a\udce4.eml", MAIL),
            SentFile("empty.eml", None, "it is empty"),
        ]
    for number in range(200):
        (tmp_path / f"{number}.eml").write_bytes(MAIL * 20)
    with reading(tmp_path, LIMIT, apart=True) as apart:
        next(apart)  # who reads no further leaves no process behind
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
