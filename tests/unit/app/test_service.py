import os
import signal
import smtplib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smime_proxy import app
from smime_proxy.admin.cli.program import run
from smime_proxy.app.reloading import InForce, Reloading
from smime_proxy.app.service import _Workshop
from smime_proxy.settings import Settings
from smime_proxy.settings.loading import load
from tests.ports import free_port
from tests.tied import tied

PATIENCE = 30  # seconds for the service to start or end on a busy machine
MAIL = b"From: alice@example.test\r\nTo: x@example.net\r\nSubject: hello\r\n\r\ntext\r\n"


@dataclass(frozen=True)
class Running:
    settings: Path
    outbound: int
    status: int
    process: subprocess.Popen[str]

    @property
    def mails(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.settings.parent / "out" / "new").iterdir()]


def written(directory: Path, outbound: int, status: int) -> Path:
    settings = directory / "settings.toml"
    settings.write_text(
        f'[service]\nhostname = "mail.example.test"\nstate_dir = "{directory}/state"\n'
        f'[status]\nbind = "127.0.0.1:{status}"\n'
        f'[upstreams.outside]\nurl = "maildir://{directory}/out"\n'
        f'[listeners.submission]\nrole = "outbound"\nbind = "127.0.0.1:{outbound}"\n'
        'upstream = "outside"\n'
    )
    return settings


def command(settings: Path, *words: str) -> list[str]:
    main = "from smime_proxy.app import main; main()"
    return [sys.executable, "-c", main, "--config", str(settings), *words]


@pytest.fixture(params=[1, 2])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    outbound, status = free_port(), free_port()
    settings = written(tmp_path, outbound, status)
    for line in (
        ["account", "add", "alice@example.test"],
        ["ca", "init"],
        ["ca", "issue", "alice@example.test"],
    ):
        assert run(["--config", str(settings), *line], {}, app.build) == 0
    environment = os.environ | {"SMIME_PROXY_SERVICE__WORKERS": str(request.param)}
    with subprocess.Popen(
        command(settings, "serve"),
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=tied(),
    ) as process:
        try:
            wait_until_ready(process, status)
            yield Running(settings, outbound, status, process)
        finally:
            process.kill()


def wait_until_ready(process: subprocess.Popen[str], status: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{status}/readyz", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the service is not ready")


def test_the_service_signs_refuses_a_second_one_and_ends_in_good_order(running: Running) -> None:
    with smtplib.SMTP("127.0.0.1", running.outbound) as client:
        client.sendmail("alice@example.test", ["x@example.net"], MAIL)
    (mail,) = running.mails
    assert b"multipart/signed" in mail
    second = subprocess.run(
        command(running.settings, "serve"), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert run(["--config", str(running.settings), "healthcheck"], {}, app.build) == 0
    running.process.send_signal(signal.SIGTERM)
    out, err = running.process.communicate(timeout=PATIENCE)
    assert (running.process.returncode, err) == (0, "")
    assert "delivery" in out
    assert "text" not in out.replace("text/", "")


def test_a_store_that_does_not_open_stops_the_service_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = written(tmp_path, free_port(), free_port())
    assert run(["--config", str(settings), "account", "list"], {}, app.build) == 0
    (tmp_path / "state" / "master.key").unlink()
    capfd.readouterr()
    ended = subprocess.run(command(settings, "serve"), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "master key" in ended.stderr


async def test_after_a_reload_those_who_are_told_get_it_by_the_new_upstream(
    tmp_path: Path,
) -> None:
    """R31: what was read of the settings at the start is not kept beside the new ones."""
    file = written(tmp_path, 1, 2)
    for line in (["account", "add", "a@example.test"], ["ca", "init"]):
        assert run(["--config", str(file), *line], {}, app.build) == 0
    text = file.read_text().replace("outside", "one").replace("/out", "/one")
    more = '[notify]\nadministrator = "admin@example.test"\nupstream = "one"\n'
    before = settings_of(file, text + more)
    after = settings_of(file, (text + more).replace("/one", "/two"))
    workshop = _Workshop(Reloading(InForce.read(before), lambda: after), ())
    workshop._renew()
    await workshop._expiry.look(datetime.now(UTC) + timedelta(days=365 * 9 + 362))
    workshop._release()
    assert not (tmp_path / "one").exists()
    assert len(list((tmp_path / "two" / "new").iterdir())) == 1


def settings_of(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load(file, {})
