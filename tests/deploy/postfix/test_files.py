"""The files of deploy/postfix: Postfix knows every word in them, and so does the service.

No RFC.
"""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from smime_proxy.settings.loading import validate
from tests.deploy.postfix.layout import LAYOUTS, SETTINGS, SHIPPED, Layout, services, shipped
from tests.peers import locate, require

MASTER = Path("/etc/postfix/master.cf.proto")  # as Postfix ships it


def postconf(folder: Path) -> subprocess.CompletedProcess[str]:
    """Let Postfix show what is set in two files; it warns of what it does not know."""
    require("postfix")
    program = locate("postconf")
    assert program is not None
    line = (program, "-c", folder, "-n")
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


def installed(name: str, folder: Path, more: str = "") -> Path:
    """Write a layout as an administrator has it, but for the folders Postfix works in."""
    layout = Layout(name, folder)
    for place in ("queue", "data"):
        (folder / place).mkdir()
    places = f"queue_directory = {folder}/queue\ndata_directory = {folder}/data\n"
    (folder / "main.cf").write_text(layout.main({}) + places + more)
    (folder / "master.cf").write_text(layout.master())
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_postfix_knows_every_parameter(name: str, tmp_path: Path) -> None:
    done = postconf(installed(name, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelled_parameter_would_be_seen(tmp_path: Path) -> None:
    folder = installed("submission", tmp_path, "local_header_rewrite_client = permit_mynetworks\n")
    with (folder / "master.cf").open("a") as master:
        master.write("10099 inet n - n - - smtpd\n  -o smtpd_milter=\n")
    told = postconf(folder).stderr
    assert "unused parameter: local_header_rewrite_client=" in told
    assert "unused parameter: smtpd_milter=" in told


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_rest_of_master_cf_is_what_postfix_ships(name: str) -> None:
    require("postfix")
    ours = shipped(name, "master.cf").partition("# ---- The rest")[2].splitlines()[1:]
    theirs = {tuple(line.split()) for line in MASTER.read_text(encoding="utf-8").splitlines()}
    for line in ours:
        service = line.split()
        chrooted = (*service[:4], "y", *service[5:])  # Debian's way
        assert tuple(service) in theirs or chrooted in theirs, line


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_settings_beside_it_are_valid_and_believe_postfix(name: str) -> None:
    settings, faults = validate(tomllib.loads(shipped(name, SETTINGS)))
    assert settings is not None
    assert faults == []
    for listener in settings.listeners.values():
        assert [str(network) for network in listener.trusted_peers] == ["127.0.0.1/32"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_submitted_is_ours_and_what_comes_back_is_not_looked_at_again(name: str) -> None:
    main = shipped(name, "main.cf")
    assert "local_header_rewrite_clients = permit_mynetworks, permit_sasl_authenticated" in main
    assert "disable_mime_output_conversion = yes" in main
    for back in re.findall(
        r"^127\S+:(?:10026|10028) .*\n(?:  .*\n)*", shipped(name, "master.cf"), re.MULTILINE
    ):
        assert re.search(r"\n  -o content_filter=(\$mailboxes)?\n", back)
        assert "\n  -o local_header_rewrite_clients=\n" in back
        assert "no_milters" not in back


@pytest.mark.parametrize("name", LAYOUTS)
def test_both_sides_speak_of_the_same_ports(name: str) -> None:
    """What Postfix hands on is listened for, and what is handed back too."""
    postfix_files = shipped(name, "main.cf") + shipped(name, "master.cf")
    settings = tomllib.loads(shipped(name, SETTINGS))
    bound = {table["bind"] for table in settings["listeners"].values()}
    named = re.findall(
        r"(?:filter=|smime:|relayhost = )\S*?\[?(127\.0\.0\.1\]?:100\d\d)", postfix_files
    )
    assert {one.replace("]", "") for one in named} == bound
    back = {
        table["url"].removeprefix("smtp://")
        for table in settings["upstreams"].values()
        if "127.0.0.1" in table["url"]
    }
    mine = {one for one in services(postfix_files) if one.startswith("127")}
    assert mine - {"127.0.0.1:10029"} == back


def test_only_layouts_are_there() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == set(LAYOUTS)
