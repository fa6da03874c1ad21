import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.app.connections import listener_options, upstream_makers
from smime_proxy.app.context import build_routes, sent_copies
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import UpstreamError
from smime_proxy.settings import Settings
from smime_proxy.smtp.maildir import MaildirUpstream

UPSTREAMS = {"one": {"url": "maildir:///one"}, "two": {"url": "maildir:///two"}}
OUT = {"role": "outbound", "bind": "127.0.0.1:1", "upstream": "one"}
IN = {"role": "inbound", "bind": "127.0.0.1:2", "upstream": "two", "domains": ["example.test"]}


def test_reports_about_inbound_mail_go_out_through_the_outbound_upstream() -> None:
    settings = Settings.model_validate({"upstreams": UPSTREAMS, "listeners": {"a": OUT, "b": IN}})
    upstreams = {name: make() for name, make in upstream_makers(settings).items()}
    routes = build_routes(settings, upstreams)
    assert routes["a"].upstream is routes["a"].reports is upstreams["one"]
    assert routes["b"].upstream is upstreams["two"]
    assert routes["b"].reports is upstreams["one"]
    alone = Settings.model_validate({"upstreams": UPSTREAMS, "listeners": {"b": IN}})
    assert build_routes(alone, upstreams)["b"].reports is None


def test_a_listener_has_its_own_mode_or_that_of_the_service() -> None:
    tables = {"upstreams": UPSTREAMS, "service": {"mode": "soft"}}
    listeners = {"a": OUT, "b": IN | {"mode": "observe"}}
    settings = Settings.model_validate(tables | {"listeners": listeners})
    upstreams = {name: make() for name, make in upstream_makers(settings).items()}
    routes = build_routes(settings, upstreams)
    modes = [routes[one.name].mode is one.mode and one.mode for one in listener_options(settings)]
    assert modes == [Mode.SOFT, Mode.OBSERVE]


def test_sent_copies_go_to_a_named_upstream_or_a_maildir_of_the_account() -> None:
    settings = Settings.model_validate({"upstreams": UPSTREAMS})
    upstreams = {name: make() for name, make in upstream_makers(settings).items()}
    find = sent_copies(upstreams)
    alice = parse_mailbox("Alice@example.test")
    assert find("upstream:two", alice) is upstreams["two"]
    assert isinstance(find("maildir:///srv/{address}/sent", alice), MaildirUpstream)
    with pytest.raises(UpstreamError, match=r"451 4\.4\.1 .*no upstream three") as caught:
        find("upstream:three", alice)
    assert "Alice@example.test" in caught.value.reply.text
