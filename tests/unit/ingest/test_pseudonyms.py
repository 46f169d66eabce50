import stat
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.pseudonyms import KEY_FILE, Pseudonyms, open_pseudonyms
from roadtwin.errors import SettingsError
from roadtwin.settings import Settings

BERLIN = ZoneInfo("Europe/Berlin")
KEY = b"a key that only the tests know"


def test_the_pseudonym_changes_with_the_local_month_and_the_calibration_id_does_not():
    pseudonyms = Pseudonyms(KEY, BERLIN)
    before, after = datetime(2026, 1, 31, 22, 59, tzinfo=UTC), datetime(2026, 1, 31, 23, 0, tzinfo=UTC)

    assert pseudonyms.pseudonym("t", before) == pseudonyms.pseudonym("t", datetime(2026, 1, 1, tzinfo=UTC))
    assert pseudonyms.pseudonym("t", before) != pseudonyms.pseudonym("t", after)  # midnight in Berlin
    assert pseudonyms.calibration_id("t") == Pseudonyms(KEY, BERLIN).calibration_id("t")


def test_pseudonyms_differ_by_vehicle_key_and_purpose():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    a, b = Pseudonyms(KEY, BERLIN), Pseudonyms(KEY + b"!", BERLIN)

    names = {a.pseudonym("t", at), a.pseudonym("u", at), b.pseudonym("t", at), a.calibration_id("t")}
    assert len({name[2:] for name in names}) == 4


def test_a_key_is_made_once_for_its_owner_only(tmp_path):
    settings = Settings(data_dir=tmp_path / "new")

    first = open_pseudonyms(settings).calibration_id("t")

    assert open_pseudonyms(settings).calibration_id("t") == first
    assert stat.S_IMODE((tmp_path / "new" / KEY_FILE).stat().st_mode) == 0o600


def test_the_key_of_the_settings_wins(tmp_path):
    settings = Settings(data_dir=tmp_path, pseudonym_key=KEY.decode())

    assert open_pseudonyms(settings).calibration_id("t") == Pseudonyms(KEY, BERLIN).calibration_id("t")
    assert not (tmp_path / KEY_FILE).exists()


def test_a_short_key_and_a_broken_key_file_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="expected at least 16"):
        open_pseudonyms(Settings(data_dir=tmp_path, pseudonym_key="short"))
    (tmp_path / KEY_FILE).write_text("not hexadecimal")
    with pytest.raises(SettingsError, match="cannot be used"):
        open_pseudonyms(Settings(data_dir=tmp_path))
