"""The image as it is built and run: what it holds, how it serves, how it ends. Row A22."""

import itertools
import json
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import smime_proxy
from tests import pki
from tests.deploy import compose
from tests.deploy.container import SECRETS, STATE, Container, container
from tests.deploy.engine import IMAGE, ROOT, Engine, ulimits
from tests.e2e.client import Client, deliver
from tests.e2e.proxy import eventually, to_sink
from tests.peers import require
from tests.ports import HOST
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

ALICE, OUTSIDE = "alice@example.test", "someone@example.net"
PROGRAM = "opt/smime-proxy/lib/python3.11/site-packages"
MOUNT_POINTS = {"/etc", "/etc/smime-proxy", "/run", "/run/secrets", "/var", "/var/lib", STATE}
STRANGER = 54_321  # a user no image knows
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    f"--user={STRANGER}:{STRANGER}",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running(Sink()) as one:
        yield one


DECLARED = f"""
[accounts."{ALICE}"]
key_file = "{SECRETS}/alice.p12"
password_file = "{SECRETS}/alice.password"
"""


def settings(sink: Sink, workers: int = 1) -> str:
    return f"""
[service]
hostname = "proxy.example.test"
workers = {workers}
[admin]
bind = ""
[status]
bind = "{HOST}:STATUS"
[upstreams.relay]
{to_sink(sink.port)}
[listeners.submission]
role = "outbound"
bind = "{HOST}:SUBMISSION"
upstream = "relay"
"""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an administrator mounts: a key with its password, readable to whoever the user is."""
    folder = tmp_path_factory.mktemp("secrets")
    folder.chmod(0o755)
    alice = pki.person(pki.root(), ALICE)
    (folder / "alice.p12").write_bytes(alice.pkcs12(b"of the file"))
    (folder / "alice.password").write_text("of the file\n")
    return folder


def given_a_key(one: Container) -> None:
    """Give alice her key out of the mounted secrets."""
    assert one.execute("smime-proxy", "account", "add", ALICE)[0] == 0
    key = (f"{SECRETS}/alice.p12", "--password-file", f"{SECRETS}/alice.password")
    code, output = one.execute("smime-proxy", "account", "import-key", ALICE, *key)
    assert code == 0, output


@pytest.fixture(scope="module")
def plain(
    engine: Engine, sink: Sink, secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """As the quick start runs it: the user of the image, a volume for the state."""
    folder = tmp_path_factory.mktemp("plain")
    mounts = (f"--volume=state:{STATE}", f"--volume={secrets}:{SECRETS}:ro")
    with container(engine, folder, settings(sink), mounts) as one:
        given_a_key(one)
        yield one


@pytest.fixture(scope="module")
def hardened(
    engine: Engine, sink: Sink, secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """Nothing can be written but the state, by a user without a name, without capabilities."""
    folder = tmp_path_factory.mktemp("hardened")
    mounts = (f"--tmpfs={STATE}", f"--volume={secrets}:{SECRETS}:ro")
    declared = settings(sink, workers=2) + DECLARED
    with container(engine, folder, declared, (*HARDENED, *mounts)) as one:
        yield one


def sent(one: Container, sink: Sink, text: str) -> bytes:
    """Send a mail of alice's through the container; gives what arrived."""
    head = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\nSubject: {text}"
    answer = deliver(one.submission, ALICE, (OUTSIDE,), f"{head}\r\n\r\n{text}\r\n".encode())
    assert answer.code == 250, one.log()
    (found,) = [message for message in sink.messages if text.encode() in message.content]
    return found.content


def check_signed(mail: bytes, text: str, folder: Path) -> int:
    """Let OpenSSL judge the signature; gives the serial number of the signer's certificate."""
    (folder / "root.pem").write_bytes(pki.root().pem())
    signer = folder / "signer.pem"
    verify = ("cms", "-verify", "-CAfile", str(folder / "root.pem"), "-signer", str(signer))
    done = subprocess.run(
        [require("openssl"), *verify], input=mail, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert text.encode() in done.stdout
    return x509.load_pem_x509_certificate(signer.read_bytes()).serial_number


def test_it_says_that_it_is_ready_as_a_user_without_rights(plain: Container) -> None:
    plain.engine.do("healthcheck", "run", plain.name)
    assert plain.process()["Uid"].split() == ["10001"] * 4
    assert plain.process()["Gid"].split() == ["10001"] * 4


def test_its_health_is_bad_when_nobody_serves(engine: Engine) -> None:
    alone = ("--rm", "--network=none", "--pull=never", *ulimits())
    done = engine.ask("run", *alone, IMAGE, "healthcheck")
    assert done.returncode == 1
    assert "no answer from 127.0.0.1:8026" in done.stderr


def test_it_signs_with_a_key_mounted_as_a_secret(
    plain: Container, sink: Sink, tmp_path: Path
) -> None:
    check_signed(sent(plain, sink, "plain-canary"), "plain-canary", tmp_path)


def test_it_writes_its_log_to_standard_output_and_nothing_outside_its_mounts(
    plain: Container, sink: Sink
) -> None:
    sent(plain, sink, "logged-canary")
    assert f"sender={ALICE}" in plain.engine.do("logs", plain.name)
    assert plain.changes() <= MOUNT_POINTS


def test_a22_read_only_with_any_user_and_no_capabilities_it_serves(
    hardened: Container, sink: Sink, tmp_path: Path
) -> None:
    hardened.engine.do("healthcheck", "run", hardened.name)
    check_signed(sent(hardened, sink, "hard-canary"), "hard-canary", tmp_path)
    process = hardened.process()
    assert process["Uid"].split() == [str(STRANGER)] * 4
    assert {process[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert process["NoNewPrivs"] == "1"
    assert "Traceback" not in hardened.log()


def test_a22_read_only_it_can_write_only_to_its_mounts(hardened: Container) -> None:
    code, output = hardened.execute("python", "-c", f"import os; os.mkdir('{STATE}/new')")
    assert code == 0, output
    for place in ("/", "/etc/smime-proxy", "/opt/smime-proxy", "/var/lib", SECRETS):
        code, output = hardened.execute("python", "-c", f"import os; os.mkdir('{place}/new')")
        assert (code, "Read-only file system" in output) == (1, True), output
    assert hardened.changes() <= MOUNT_POINTS


def test_a_key_replaced_in_the_mounted_folder_signs_without_a_restart(
    hardened: Container, sink: Sink, secrets: Path, tmp_path: Path
) -> None:
    renewed = pki.person(pki.root(), ALICE)
    (secrets / "new").write_bytes(renewed.pkcs12(b"of the file"))
    (secrets / "new").rename(secrets / "alice.p12")
    numbers = itertools.count()

    def signs_with_it() -> bool:
        mail = sent(hardened, sink, f"renewed-canary-{next(numbers)}")
        return check_signed(mail, "renewed-canary", tmp_path) == renewed.certificate.serial

    eventually(signs_with_it, hardened.log)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_the_mail_under_way_finish(
    engine: Engine, sink: Sink, tmp_path: Path, workers: int
) -> None:
    state = f"--tmpfs={STATE}"
    with (
        container(engine, tmp_path, settings(sink, workers), (*HARDENED, state)) as one,
        Client(one.submission) as client,
    ):
        for line in ("EHLO client.example", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>"):
            assert client.say(line).code == 250
        assert client.say("DATA").code == 354
        engine.do("kill", "--signal=TERM", one.name)
        eventually(lambda: one.get("/readyz") == 503, one.log)
        assert one.state()["Status"] == "running"
        mail = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\ndrained by {workers}\r\n".encode()
        assert client.content(mail).code == 250
        assert one.wait() == 0, one.log()
        assert sum(mail in message.content for message in sink.messages) == 1


@pytest.mark.parametrize("use", compose.USES)
def test_the_settings_beside_a_compose_file_serve_as_the_file_runs_them(
    engine: Engine, tmp_path: Path, use: str
) -> None:
    for address, account in compose.settings(use)["accounts"].items():
        key = pki.person(pki.root(), address).pkcs12(b"of the file")
        (tmp_path / Path(account["key_file"]).name).write_bytes(key)
        (tmp_path / Path(account["password_file"]).name).write_text("of the file\n")
    (tmp_path / "smarthost.password").write_text("of the smarthost\n")
    tmp_path.chmod(0o755)
    options = compose.engine_options(compose.service(use), tmp_path)
    alone = ("--rm", "--network=none", "--pull=never", *ulimits())
    effective = engine.do("run", *alone, *options, IMAGE, "check-config", "--json")
    assert set(json.loads(effective)["accounts"]) == set(compose.settings(use)["accounts"])


def test_sigterm_ends_a_command_too_that_is_the_first_process(engine: Engine) -> None:
    options = ("--detach", "--interactive", "--network=none", "--pull=never", *ulimits())
    name = engine.do("run", *options, "--log-driver=k8s-file", IMAGE, "inspect", "/dev/stdin")
    one = Container(engine, name, 0, 0)

    def is_over() -> bool:
        engine.ask("kill", "--signal=TERM", name)  # the first may come before the program began
        return one.state()["Status"] == "exited"

    eventually(is_over, one.log)
    assert one.state()["ExitCode"] == 128 + signal.SIGTERM


def test_the_image_says_how_it_is_run_watched_and_ended(engine: Engine) -> None:
    (image,) = json.loads(engine.do("inspect", IMAGE))
    config = image["Config"]
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert (config["Entrypoint"], config["Cmd"]) == (["smime-proxy"], ["serve"])
    assert image["Healthcheck"]["Test"] == ["CMD", "smime-proxy", "healthcheck"]
    assert "Volumes" not in config
    labels = config["Labels"]
    named = {name: labels[f"org.opencontainers.image.{name}"] for name in ("version", "revision")}
    assert named == {"version": "1.2.3", "revision": "0123abc"}
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_image_holds_nothing_that_does_not_run(engine: Engine) -> None:
    with engine.root_of(IMAGE) as root:
        tools = {"cc", "gcc", "g++", "make", "pip", "pip3", "git", "curl", "wget", "uv"}
        found = {one.name for one in [*root.glob("usr/bin/*"), *root.glob("opt/*/bin/*")]}
        assert found & tools == set()
        packages = root / PROGRAM
        names = {one.name for one in packages.iterdir()}
        assert names & {"pip", "setuptools", "hatchling", "pytest", "mypy", "hypothesis"} == set()
        assert [one for one in packages.rglob("tests") if one.is_dir()] == []
        for place in ("var/lib/apt/lists", "var/cache/apt", "root/.cache", "tmp", "build", "run"):
            assert [one for one in root.glob(f"{place}/**/*") if one.is_file()] == []
        assert [
            one
            for one in root.rglob("*")
            if not one.is_symlink() and one.stat().st_mode & 0o6000 and one.is_file()
        ] == []


def raises(program: Path) -> bool:
    """Tell whether it runs with the rights of its owner or group."""
    status = program.lstat()
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & (stat.S_ISUID | stat.S_ISGID))


def test_the_image_is_compiled_and_does_not_look_at_times(engine: Engine) -> None:
    with engine.root_of(IMAGE) as root:
        sources = list((root / PROGRAM / "smime_proxy").rglob("*.py"))
        assert len(sources) > 100
        for source in sources:
            compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
            # PEP 552: bit 0 is "by hash", bit 1 "look at the source".
            assert compiled.read_bytes()[4] == 1, source


def test_the_image_names_what_it_holds(engine: Engine) -> None:
    with engine.root_of(IMAGE) as root:
        raw = (root / "usr/share/doc/smime-proxy/sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw) is None
    bill = json.loads(raw)
    assert bill["metadata"]["component"]["version"] == smime_proxy.__version__
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)
    locked = {f"pkg:pypi/{name}@{version}" for name, version in pinned}
    urls = {one["purl"] for one in bill["components"]}
    assert {one for one in urls if one.startswith("pkg:pypi/")} == locked
    assert any(one.startswith("pkg:deb/debian/libssl3@3.") for one in urls)
    assert not any("python3-venv" in one for one in urls)
