from smime_proxy.cms.errors import CmsError, DecryptionError, MalformedCms, UnsupportedAlgorithm


def test_an_unsupported_algorithm_names_its_identifier() -> None:
    error = UnsupportedAlgorithm("1.2.3")
    assert error.oid == "1.2.3"
    assert str(error) == "unsupported algorithm: 1.2.3"


def test_every_decryption_error_reads_the_same() -> None:
    """E12, E14."""
    assert str(DecryptionError()) == str(DecryptionError())


def test_all_errors_have_one_base() -> None:
    assert all(
        issubclass(e, CmsError) for e in (MalformedCms, UnsupportedAlgorithm, DecryptionError)
    )
