"""docs/reliability.md and the tests agree: each row is named in the tests it points to."""

import re

from tests.house.source import ROOT, TESTS, python_files

ROW = re.compile(r"\| ([RAI]\d{1,2}) \|")
ROWS = re.compile(r"(?:R\d\d|A\d\d|I\d{1,2})")


def page() -> dict[str, list[str]]:
    """Give the files each row points to."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if ROW.match(line)]
    found = {line.split("|")[1].strip(): re.findall(r"`(tests/[\w/]+\.py)`", line) for line in rows}
    assert len(found) == len(rows)
    return found


def rows_named(text: str) -> set[str]:
    """Give the rows a test file names: in words, or at the beginning of a test's name."""
    by_name = {one.upper() for one in re.findall(r"def test_([rai]\d{1,2})_", text)}
    in_words = set(re.findall(r"(?<![\w.-])((?:R|A)\d\d|I\d{1,2})(?![\w-])", text))
    return {one for one in by_name | in_words if ROWS.fullmatch(one)}


def test_every_row_is_named_in_each_file_it_points_to() -> None:
    missing = {
        f"{row}: {name}"
        for row, names in page().items()
        for name in names
        if row not in rows_named((ROOT / name).read_text(encoding="utf-8"))
    }
    assert missing == set()
    assert all(page().values())


def test_no_row_is_named_in_a_test_and_missing_on_the_page() -> None:
    known = page()
    stray = {
        f"{row}: {path.relative_to(ROOT)}"
        for path in python_files(TESTS)
        if "house" not in path.parts
        for row in rows_named(path.read_text(encoding="utf-8"))
        if row not in known
    }
    assert stray == set()
