"""Registration of devices from a CSV file."""

from datetime import UTC, datetime

import pytest

from roadtwin.errors import InputFileError
from roadtwin.storage.devices import (
    CSV_COLUMNS,
    read_device_file,
    read_device_rows,
    read_registered_profiles,
    register_devices,
)
from roadtwin.storage.messages import write_batch
from roadtwin.types import DeviceKey, Origin
from tests.integration.ingest.conftest import fetch
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, NOW, chirpstack, decoder, encoded

KEY = DeviceKey("chirpstack-v4", APPLICATION, DEV_EUI)
ROW = {
    "network_source": "chirpstack-v4",
    "application": APPLICATION,
    "device": DEV_EUI.upper(),
    "name": "Bridge",
    "profile_name": "surface-temperature",
    "status": "confirmed",
    "lon": "7.01",
    "lat": "51.45",
    "valid_from": "2026-01-01T00:00:00+01:00",
}


def test_a_registered_device_is_the_one_that_its_messages_name(db):
    register_devices(db, read_device_rows([ROW]))
    db.commit()
    unprofiled = chirpstack()["deviceInfo"] | {"deviceProfileName": "EndDevice"}
    registered = read_registered_profiles(db)
    db.rollback()

    message = decoder(registered).decode(CHIRPSTACK_UP, encoded(chirpstack(deviceInfo=unprofiled)), NOW)
    write_batch(db, [message], [], worker="test", origin=Origin.MQTT)

    assert registered == {KEY: "surface-temperature"}
    assert len(message.observations) == 4
    assert fetch(db, "SELECT status, profile_name FROM device") == [("confirmed", "surface-temperature")]


def test_the_profile_of_an_unconfirmed_device_is_only_what_its_network_server_says(db):
    register_devices(db, read_device_rows([ROW | {"status": "unconfirmed"}]))

    assert read_registered_profiles(db) == {}


def test_a_device_that_moves_keeps_where_it_was(db):
    moved = ROW | {"lon": "7.02", "valid_from": "2026-02-01T00:00:00+01:00"}

    for _ in range(2):  # the same file again changes nothing
        register_devices(db, read_device_rows([ROW, moved]))
        db.commit()

    assert fetch(db, "SELECT lon, valid_to FROM device_installation ORDER BY valid_from") == [
        (7.01, datetime(2026, 1, 31, 23, tzinfo=UTC)),
        (7.02, None),
    ]


def test_a_file_is_read_with_its_columns_in_any_order(tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text("device,network_source,application\r\nx,senml,\r\n", "utf-8-sig")

    (row,) = read_device_file(path)

    assert (row.key, row.status, row.lon) == (DeviceKey("senml", "", "x"), "confirmed", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network_source": "lora"}, "row 2: got network_source 'lora'"),
        ({"device": ""}, "got no device"),
        ({"status": "new"}, "got status 'new'"),
        ({"lat": "91"}, "got lat '91', expected a number from -90 to 90"),
        ({"lon": "east"}, "got lon 'east'"),
        ({"lat": ""}, "expected lon, lat and valid_from together"),
        ({"valid_from": "2026-01-01"}, "expected RFC 3339 with offset"),
    ],
)
def test_a_wrong_row_is_refused_with_its_number(change, reason):
    with pytest.raises(InputFileError, match=reason):
        read_device_rows([ROW | change])


def test_an_unknown_section_is_refused(db):
    with pytest.raises(InputFileError, match="expected one that was imported"):
        register_devices(db, read_device_rows([ROW | {"section_source": "sim", "source_section_id": "17"}]))


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "network_source,application,device,colour\n"])
def test_a_file_with_other_columns_is_refused(tmp_path, text):
    path = tmp_path / "devices.csv"
    path.write_text(text)

    with pytest.raises(InputFileError, match=r"columns?"):
        read_device_file(path)
    assert "network_source" in CSV_COLUMNS
