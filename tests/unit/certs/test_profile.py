"""What mail asks of a path by default is the strict side of everything."""

from smime_proxy.certs.profile import ANY_POLICY, MAIL, Profile


def test_the_profile_of_mail_lets_nothing_weak_pass_and_asks_for_no_policy() -> None:
    assert Profile() == MAIL
    assert MAIL.for_mail
    assert not MAIL.unsafe_weak
    assert MAIL.policies == {ANY_POLICY}
