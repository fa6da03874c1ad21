from smime_proxy.smtp.errors import connection_lost, may_be_sent, unreachable


def test_an_upstream_without_session_is_451_4_4_1() -> None:
    assert str(unreachable().reply).startswith("451 4.4.1 ")


def test_a_session_lost_before_the_dot_is_451_4_4_2_and_nothing_was_sent() -> None:
    assert str(connection_lost().reply).startswith("451 4.4.2 Nothing was sent")


def test_a_session_lost_after_the_dot_says_that_the_message_may_have_been_sent() -> None:
    assert str(may_be_sent().reply).startswith("451 4.4.2 The message may have been sent")
