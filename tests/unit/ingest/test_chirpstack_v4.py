from datetime import UTC, datetime

import pytest

from ingest.formats.chirpstack_v4 import KINDS, tell_kind
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Reception
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, NOW, chirpstack, decoder, encoded


def decode(event, topic=CHIRPSTACK_UP, at=NOW):
    return decoder().decode(topic, event if isinstance(event, bytes) else encoded(event), at)


def as_kind(kind):
    return CHIRPSTACK_UP.removesuffix("up") + kind


def other_event(**members):
    """An event of another kind: what all have, and its own members."""
    up = chirpstack()
    return {key: up[key] for key in ("deduplicationId", "time", "deviceInfo")} | members


def test_an_uplink_becomes_an_envelope_with_observations_in_canonical_units():
    message = decode(chirpstack())

    assert message.device == DeviceKey("chirpstack-v4", APPLICATION, DEV_EUI)
    assert (message.event_kind, message.f_cnt, message.f_port, message.gateway_count) == ("up", 17, 2, 2)
    assert (message.best_rssi_dbm, message.best_snr_db) == (-97, 4.5)
    assert message.event_at == datetime(2026, 3, 10, 11, 59, 58, 123456, tzinfo=UTC)
    assert message.clock is Clock.NETWORK_SERVER
    assert {o.quantity: o.value for o in message.observations} == {
        "surface_temp_c": -1.5,
        "air_temp_c": 0.25,
        "humidity_pct": 91,
        "battery_v": 3.6,
    }
    assert message.flags == Flag.NONE


def test_members_left_out_have_their_zero_value():
    bare = chirpstack(fCnt=None, adr=None, confirmed=None, rxInfo=[{"gatewayId": "a1"}], object=None)

    message = decode(bare)

    assert (message.f_cnt, message.best_rssi_dbm, message.best_snr_db, message.observations) == (0, 0, 0, ())


@pytest.mark.parametrize("decoded", [{"event": "Mac command", "length": 0}, {"surface_temperature": 3}, {}, None])
def test_port_0_never_measures_whatever_the_codec_says(decoded):
    message = decode(chirpstack(fPort=0, data="", object=decoded))

    assert message.event_kind == "up"
    assert message.observations == ()


def test_an_uplink_without_decoded_object_is_kept_without_observations():
    assert decode(chirpstack(object=None)).observations == ()
    assert decode(chirpstack(object=None)).details == {"data_rate": 5, "confirmed": False}


def test_an_unknown_profile_is_never_guessed_and_says_so():
    info = chirpstack()["deviceInfo"] | {"deviceProfileName": "EndDevice"}

    message = decode(chirpstack(deviceInfo=info))

    assert message.observations == ()
    assert message.details["not_measured"] == "no sensor profile is called 'EndDevice'"


@pytest.mark.parametrize(
    ("kind", "members", "details"),
    [
        ("join", {"devAddr": "01ab23cd"}, {"dev_addr": "01ab23cd"}),
        ("ack", {"queueItemId": "q", "acknowledged": True, "fCntDown": 3}, {"acknowledged": True, "f_cnt_down": 3}),
        ("txack", {"downlinkId": 7, "queueItemId": "q", "gatewayId": "a1"}, {"downlink_id": 7, "gateway_id": "a1"}),
        ("log", {"level": "ERROR", "code": "UPLINK_MIC", "context": {"k": "v"}}, {"code": "UPLINK_MIC"}),
        ("location", {"location": {}}, {"location": None}),
        ("integration", {"integrationName": "loracloud", "eventType": "x", "object": {}}, {"event_type": "x"}),
        ("status", {"margin": 7, "batteryLevel": 88.5}, {"margin_db": 7, "battery_pct": 88.5}),
    ],
)  # fmt: skip
def test_every_kind_of_event_is_recorded_as_what_it_is(kind, members, details):
    message = decode(other_event(**members), as_kind(kind))

    assert message.event_kind == kind
    assert details.items() <= dict(message.details).items()
    assert decode(other_event(**members), as_kind("renamed")).event_kind == kind


def test_a_location_is_given_as_longitude_and_latitude():
    message = decode(other_event(location={"latitude": 51.4, "longitude": 7.0}), as_kind("location"))

    assert message.details["location"] == {"lon": 7.0, "lat": 51.4, "altitude_m": 0}


def test_every_kind_of_the_documentation_is_known():
    assert set(KINDS) == {"up", "join", "status", "log", "ack", "txack", "location", "integration"}
    assert tell_kind(chirpstack()) == "up"
    assert tell_kind({"deviceInfo": {}}) is None


@pytest.mark.parametrize(
    "members",
    [
        {"margin": 5, "batteryLevelUnavailable": True, "batteryLevel": 0.0},
        {"margin": 5, "externalPowerSource": True, "batteryLevel": 0.0},
        {"margin": 5},
    ],
)
def test_a_battery_level_that_is_not_known_is_no_empty_battery(members):
    message = decode(other_event(**members), as_kind("status"))

    assert message.observations == ()
    assert message.details["battery_pct"] is None


def test_a_known_battery_level_is_an_observation_of_the_devices_status():
    (observation,) = decode(other_event(margin=5, batteryLevel=60.5), as_kind("status")).observations

    assert (observation.channel, observation.quantity, observation.value) == ("device-status", "battery_pct", 60.5)


def test_the_message_id_is_that_of_the_content():
    assert decode(chirpstack()).message_id == decode(chirpstack(), at=datetime(2026, 3, 11, tzinfo=UTC)).message_id
    other = chirpstack(deduplicationId="0b6b5a46-3f0e-4c1c-9b0f-6a3f9a1d7e56")
    assert decode(other).message_id != decode(chirpstack()).message_id


def test_events_that_share_a_deduplication_id_have_ids_of_their_own():
    kinds = {"up": chirpstack(), "ack": other_event(acknowledged=True), "status": other_event(margin=1)}

    assert len({decode(event, as_kind(kind)).message_id for kind, event in kinds.items()}) == 3


def test_log_events_have_no_deduplication_id_and_are_told_apart_by_what_they_say():
    def log(**members):
        event = other_event(level="WARNING", code="UPLINK_F_CNT_RESET", description="d") | members
        del event["deduplicationId"]
        return decode(event, as_kind("log")).message_id

    assert log() == log()
    assert len({log(), log(code="UPLINK_MIC"), log(context={"a": "b"}), log(time="2026-03-10T11:00:00Z")}) == 4


@pytest.mark.parametrize(
    ("rx_info", "clock"),
    [
        ([{"gatewayId": "a", "timeSinceGpsEpoch": "1462878464.981566256s"}], Clock.GPS),
        ([{"gatewayId": "a", "gwTime": "2026-03-10T11:59:58.123456+00:00"}], Clock.GATEWAY),
        ([{"gatewayId": "a", "gwTime": "2026-03-10T11:00:00+00:00"}], Clock.NETWORK_SERVER),
        ([], Clock.NETWORK_SERVER),
    ],
)
def test_the_envelope_says_whose_clock_gave_the_time(rx_info, clock):
    assert decode(chirpstack(rxInfo=rx_info)).clock is clock


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "2106-02-07T06:28:15Z", "2026-03-11T12:00:01Z", "soon", 12, None]
)
def test_without_a_usable_time_the_message_is_kept_under_its_arrival(time):
    message = decode(chirpstack(time=time))

    assert (message.event_at, message.clock) == (None, Clock.ARRIVAL)
    assert Flag.CLOCK in message.flags
    assert {o.observed_at for o in message.observations} == {NOW}
    assert all(Flag.CLOCK in o.flags for o in message.observations)


@pytest.mark.parametrize(
    ("time", "flag"),
    [("2026-03-10T12:05:01Z", Flag.FUTURE), ("2026-03-10T10:59:59Z", Flag.LATE), ("2026-03-10T12:04:00Z", Flag.NONE)],
)
def test_future_and_late_messages_are_flagged(time, flag):
    message = decode(chirpstack(time=time, rxInfo=[]))

    assert message.flags == flag
    assert {o.flags for o in message.observations} == {flag}


def test_a_value_out_of_range_is_flagged_and_kept_beside_good_ones():
    message = decode(chirpstack(object={"surface_temperature": 632.8, "humidity": 50}))

    assert {o.quantity: o.flags for o in message.observations} == {
        "surface_temp_c": Flag.RANGE,
        "humidity_pct": Flag.NONE,
    }
    assert message.flags == Flag.RANGE


def test_a_sentinel_is_flagged_as_what_it_is():
    (observation,) = decode(chirpstack(object={"surface_temperature": -327.68})).observations

    assert observation.flags == Flag.SENTINEL


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (bytes.fromhex("0a2433616337653363342d343430"), "invalid_protobuf"),
        (bytes.fromhex("08ef93e5f20c120c08ecd3d4"), "invalid_protobuf"),
        (b"\xff\xfe", "invalid_json"),
        (b"", "empty_payload"),
        (encoded(chirpstack(fPort=256)), "invalid_field"),
        (encoded(chirpstack(fCnt=-1)), "invalid_field"),
        (encoded(chirpstack(fCnt="17")), "invalid_field"),
        (encoded(chirpstack(data="...")), "invalid_field"),
        (encoded(chirpstack(deviceInfo=None)), "invalid_field"),
    ],
)
def test_what_is_no_event_is_rejected_with_a_reason_by_name(payload, code):
    with pytest.raises(MessageRejectedError) as caught:
        decode(payload)

    assert caught.value.code == code
    assert str(caught.value).endswith(".")


def test_an_event_whose_fields_tell_no_kind_is_rejected():
    with pytest.raises(MessageRejectedError, match="expected one of up, join") as caught:
        decode(other_event(), as_kind("lost"))

    assert caught.value.code == "unknown_event_kind"


def test_receptions_tell_every_gateway_and_how_far_its_clock_is_from_the_servers():
    rx_info = [
        {
            "gatewayId": "a1",
            "rssi": -97,
            "snr": 4.5,
            "gwTime": "2026-03-10T11:59:59Z",
            "nsTime": "2026-03-10T11:59:58Z",
        },
        {"gatewayId": "a2", "nsTime": "2026-03-10T11:59:58Z"},
        {"gatewayId": "a2", "rssi": -1e9, "snr": 1e9, "gwTime": "2026-03-10T11:59:59Z"},
    ]

    message = decode(chirpstack(rxInfo=rx_info))

    assert message.receptions == (
        Reception("a1", -97, 4.5, 1.0),
        Reception("a2", 0, 0, None),
        Reception("a2", None, None, None),
    )
    assert (message.gateway_count, message.best_rssi_dbm, message.best_snr_db) == (2, 0, 4.5)


@pytest.mark.parametrize(
    ("ns_time", "skew_s", "flags"),
    [
        ("2026-03-10T11:59:57.5Z", 0.623456, Flag.NONE),  # GPS time later than the server's is normal
        ("2026-03-10T11:59:28.123456Z", 30.0, Flag.NONE),
        ("2026-03-10T11:59:28.123455Z", 30.000001, Flag.SKEW),
        ("2026-03-10T12:00:29Z", -30.876544, Flag.SKEW),
        ("soon", None, Flag.NONE),
        (None, None, Flag.NONE),
    ],
)
def test_a_time_far_from_the_network_servers_is_flagged(ns_time, skew_s, flags):
    message = decode(chirpstack(rxInfo=[{"gatewayId": "a1", "timeSinceGpsEpoch": "1s", "nsTime": ns_time}]))

    assert message.clock_skew_s == (pytest.approx(skew_s) if skew_s is not None else None)
    assert message.flags == flags
    assert {o.flags for o in message.observations} == {flags}


def test_an_uplink_that_is_still_encrypted_measures_what_the_server_decoded_or_nothing():
    message = decode(chirpstack(joinServerContext={"sessionKeyId": "01"}, object=None))

    assert message.observations == ()
    assert "encrypted" in message.details["not_measured"]


@pytest.mark.parametrize("space", [b"\n", b" \r\n\t"])
def test_json_after_white_space_is_json(space):
    assert decode(space + encoded(chirpstack()) + space).message_id == decode(chirpstack()).message_id
