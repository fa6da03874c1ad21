"""Nothing committed speaks of the place where it was written."""

import re

from tests.house.source import ROOT, project_files, relative

# Pieces are joined here so that this file does not accuse itself.
PLACES = re.compile(
    "|".join(
        ("/wor" + "k/", r"\.\./sha" + "red", r"\.libr" + "ary", "sub" + "agent", "fa" + "rm-")
    ),
    re.IGNORECASE,
)
# CI reads the mail collections from beside the checkout where they happen to lie.
ALLOWED = {".ci/run": {"../sha" + "red"}}


def test_no_file_speaks_of_the_place_where_it_was_written() -> None:
    spoken = [
        f"{relative(path)}:{number} {found}"
        for path in project_files()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        for found in PLACES.findall(line)
        if found not in ALLOWED.get(relative(path), set())
    ]
    assert spoken == []


def test_no_lock_names_a_registry_or_a_path() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        raw = lock.read_text(encoding="utf-8")
        assert not re.search(r"https?://|file:|index-url|find-links|^-e |/", raw), lock.name
        assert "--hash=sha256:" in raw
