from smime_proxy.settings.errors import Fault, SettingsError, dotted


def test_a_path_is_spelled_as_toml_does() -> None:
    assert dotted(("partners", "example.org", "encrypt")) == 'partners."example.org".encrypt'


def test_a_fault_names_key_reason_and_origin() -> None:
    assert str(Fault(("service", "workers"), "is odd", "X")) == "service.workers: is odd (from X)"
    assert str(Fault((), "no such file")) == "no such file"


def test_an_error_says_every_fault_on_a_line_of_its_own() -> None:
    error = SettingsError([Fault(("a",), "one"), Fault(("b",), "two")])
    assert str(error) == "a: one\nb: two"
