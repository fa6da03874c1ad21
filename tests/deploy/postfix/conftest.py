"""What all layouts of Postfix share: one state, made by commands."""

import shutil

import pytest

from tests.deploy.postfix.house import AWAY, INVOICES, OFFICE
from tests.e2e.conftest import ALICE, Made, command, made, tls
from tests.e2e.proxy import Design, Listener, Proxy

__all__ = ["made", "settled", "tls"]


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Made:
    """The state of the end-to-end tests with two more accounts, and an alias of alice."""
    design = Design({"out": "url = 'maildir:///dev/null'"}, {"out": Listener("outbound", "out")})
    proxy = Proxy(tmp_path_factory.mktemp("settled"), design)
    shutil.copytree(made.state, proxy.state)
    for file in (*made.files.glob("*.pem"), *made.files.glob("*.key")):
        shutil.copy(file, proxy.folder)
    for address in (INVOICES, OFFICE):
        command(proxy, "account", "add", address)
        name = address.partition("@")[0]
        (proxy.folder / f"{name}.pem").write_text(command(proxy, "ca", "issue", address))
    command(proxy, "account", "set", ALICE, "--alias", AWAY)
    return Made(proxy.state, proxy.folder)
