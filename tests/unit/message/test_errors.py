from smime_proxy.message.errors import FromError


def test_a_from_error_gives_its_reason() -> None:
    assert FromError("there is no From field").reason == "there is no From field"
