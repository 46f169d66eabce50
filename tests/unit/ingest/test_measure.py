"""Who measures: an operator's profile, the network server's decoded fields, else the frame by the profile's codec."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from ingest.codecs import Frame
from ingest.measure import _of_frame
from roadtwin.types import DeviceKey, Flag
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, NOW, TTS_UP, chirpstack, decoder, encoded, tts

DEVICE = DeviceKey("chirpstack-v4", APPLICATION, DEV_EUI)
PT100 = "01755a0367c9ff"  # battery 90 %, -5.5 °C, port 85
PAST_WITHOUT_TIME = "a past measurement without a time that can be believed"
LEVEL_WITH_HISTORY = "0382dc0520ce00a9e869d005"  # 1500 mm, and 1488 mm at 2026-04-22 10:54:56 UTC, port 85


def uplink(profile, payload="", f_port=85, **changes):
    info = chirpstack()["deviceInfo"] | {"deviceProfileName": profile}
    data = base64.b64encode(bytes.fromhex(payload)).decode()
    return chirpstack(deviceInfo=info, fPort=f_port, data=data, **({"object": None} | changes))


def decode(event, at=NOW, registered=None):
    return decoder(registered).decode(CHIRPSTACK_UP, encoded(event), at)


def test_a_frame_is_decoded_by_the_codec_of_the_profile():
    message = decode(uplink("milesight-em500-pt100", PT100))

    assert message.details["codec"] == "milesight/em500-pt100"
    assert message.details["profile"] == "milesight-em500-pt100"
    assert [o.value for o in message.observations if o.quantity.endswith("temp_c")] == [-5.5]
    assert {o.observed_at for o in message.observations} == {message.event_at}


def test_what_the_network_server_decoded_is_preferred():
    message = decode(uplink("milesight-em500-pt100", PT100, object={"temperature": 7.0}))

    assert "codec" not in message.details
    assert [o.value for o in message.observations if o.quantity.endswith("temp_c")] == [7.0]


@pytest.mark.parametrize("decoded", [None, {}])
def test_an_empty_decoded_object_leaves_the_frame_to_the_codec(decoded):
    assert decode(uplink("milesight-em500-pt100", PT100, object=decoded)).details["codec"] == "milesight/em500-pt100"


def test_a_registered_profile_brings_its_codec():
    message = decode(uplink("?", PT100), registered={DEVICE: "milesight-em500-pt100"})

    assert message.details["codec"] == "milesight/em500-pt100"


def test_the_things_stack_frames_are_decoded_too():
    version = {"brand_id": "milesight-iot", "model_id": "em500-pt100"}
    frame = base64.b64encode(bytes.fromhex(PT100)).decode()
    changes = {"version_ids": version, "frm_payload": frame, "f_port": 85, "decoded_payload": {}}

    def details(**more):
        return decoder().decode(TTS_UP, encoded(tts(uplink_message=changes | more)), NOW).details

    assert details()["codec"] == "milesight/em500-pt100"
    assert "codec" not in details(app_s_key={"key": "x"})  # the server does not decrypt
    assert "codec" not in details(f_port=0)


def test_a_frame_that_the_codec_cannot_read_is_kept_and_says_why():
    message = decode(uplink("milesight-em500-pt100", "0367"))

    assert message.observations == ()
    assert message.details["codec"] == "milesight/em500-pt100"
    assert "milesight/em500-pt100" in message.details["not_measured"]


@pytest.mark.parametrize("changes", [{"f_port": 0}, {"payload": ""}, {"joinServerContext": {"sessionKeyId": "1"}}])
def test_nothing_is_decoded_of_mac_commands_empty_and_encrypted_frames(changes):
    message = decode(uplink(**({"profile": "milesight-em500-pt100", "payload": PT100} | changes)))

    assert message.observations == ()
    assert "codec" not in message.details


def test_a_history_is_observed_when_it_was_measured():
    at = datetime(2026, 4, 22, 11, tzinfo=UTC)

    message = decode(uplink("milesight-em500-udl", LEVEL_WITH_HISTORY, time="2026-04-22T10:59:58Z", rxInfo=[]), at)

    assert sorted({o.observed_at.isoformat() for o in message.observations}) == [
        "2026-04-22T10:54:56+00:00",
        "2026-04-22T10:59:58+00:00",
    ]
    assert all(not o.flags for o in message.observations)


def test_a_past_value_from_a_clock_that_cannot_be_believed_is_no_value_of_now():
    message = decode(uplink("milesight-em500-udl", LEVEL_WITH_HISTORY))  # more than a day ahead of the arrival

    assert [(o.value, o.flags) for o in message.observations] == [(1500.0, Flag.NONE)]
    assert message.details["not_measured"] == {"1": PAST_WITHOUT_TIME}


def test_a_history_that_the_network_server_decoded_is_observed_when_it_was_measured():
    past = [{"timestamp": 1776855296, "distance": 1488}, {"timestamp": 7, "distance": 1}, {"distance": 2}, "?"]
    level = {"distance": 1500.0, "history": past}
    at = datetime(2026, 4, 22, 11, tzinfo=UTC)

    message = decode(uplink("milesight-em500-udl", object=level, time="2026-04-22T10:59:58Z", rxInfo=[]), at)

    assert {o.observed_at.isoformat(): o.value for o in message.observations} == {
        "2026-04-22T10:54:56+00:00": 1488.0,
        "2026-04-22T10:59:58+00:00": 1500.0,
    }
    assert message.details["not_measured"] == dict.fromkeys("234", PAST_WITHOUT_TIME)


def test_a_history_that_is_no_list_says_so_and_leaves_the_value_of_now():
    message = decode(uplink("milesight-em500-udl", object={"distance": 1500, "history": {"timestamp": 1776855296}}))

    assert [o.value for o in message.observations] == [1500.0]
    assert message.details["not_measured"] == {"1": PAST_WITHOUT_TIME}


def test_the_rest_of_a_frame_that_the_codec_does_not_know_is_named():
    message = decode(uplink("milesight-em500-udl", "0382dc05 aa550102"))

    assert [o.value for o in message.observations] == [1500.0]
    assert message.details["undecoded"] == "aa550102"


@pytest.mark.parametrize(
    ("time", "flags"),
    [("2026-01-19T15:46:54Z", Flag.NONE), ("1970-01-01T00:00:07Z", Flag.CLOCK), ("yesterday", Flag.CLOCK)],
)
def test_a_normalised_value_whose_own_time_cannot_be_believed_is_flagged(time, flags):
    at = datetime(2026, 1, 19, 15, 47, tzinfo=UTC)
    event = tts()
    event["uplink_message"]["normalized_payload"] = [{"air": {"temperature": 3.0}, "time": time}]

    (observation,) = decoder().decode(TTS_UP, encoded(event), at).observations

    assert observation.flags & Flag.CLOCK == flags


@pytest.mark.parametrize(("age_s", "minutes", "flags"), [(600.0, 10, Flag.NONE), (7200.0, 120, Flag.LATE)])
def test_an_age_is_counted_back_from_the_message(age_s, minutes, flags):
    message = decode(chirpstack(object=None))

    assert _of_frame(message, Frame({}, None, age_s)) == ({}, message.event_at - timedelta(minutes=minutes), flags)


@pytest.mark.parametrize("age_s", [float("inf"), 1e12, 1e9])
def test_an_age_that_no_calendar_has_dates_nothing(age_s):
    assert _of_frame(decode(chirpstack(object=None)), Frame({}, None, age_s)) is None


def test_an_age_before_a_message_without_a_clock_is_no_better_than_that():
    message = decode(chirpstack(object=None, time=None))

    assert _of_frame(message, Frame({}, None, 600.0)) == ({}, NOW - timedelta(minutes=10), Flag.CLOCK)


def test_a_frame_without_a_profile_says_what_is_missing():
    assert "no sensor profile" in decode(uplink("EndDevice", PT100)).details["not_measured"]
