from pathlib import Path

from smime_proxy.admin.doctor.declared import file_findings
from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.settings import Settings


def test_a_file_that_may_not_be_read_is_a_note_that_names_its_key(tmp_path: Path) -> None:
    key_file, gone = tmp_path / "key.p12", tmp_path / "gone"
    key_file.touch()
    table = {"key_file": str(key_file), "former_key_files": [str(gone)]}
    settings = Settings.model_validate({"accounts": {"a@example.com": table}})
    (found,) = file_findings(settings)
    assert (found.severity, found.where) == (
        Severity.NOTE,
        'accounts."a@example.com".former_key_files',
    )
    assert str(gone) in found.what
