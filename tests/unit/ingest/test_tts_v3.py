from datetime import UTC, datetime

import pytest

from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Reception
from tests.samples import NOW, TTS_UP, decoder, encoded, tts

DEVICE = DeviceKey("tts-v3", "roads@essen", "soil-7")


def decode(message, topic=TTS_UP, registered=None):
    return decoder(registered).decode(topic, encoded(message), NOW)


def values(message):
    return {(o.quantity, o.depth_cm): o.value for o in message.observations}


def test_an_uplink_is_measured_with_the_profile_of_its_device_kind():
    message = decode(tts())

    assert message.device == DEVICE
    assert message.dev_eui == "a8404194a1870001"
    assert (message.event_kind, message.f_cnt, message.f_port) == ("up", 8, 2)
    assert message.event_at == datetime(2026, 3, 10, 11, 58, 1, tzinfo=UTC)
    assert message.clock is Clock.NETWORK_SERVER
    assert values(message) == {
        ("soil_moisture_pct", None): 31.2,
        ("ground_temp_c", None): 4.5,
        ("soil_ec_us_per_cm", None): 120,
    }


def test_counters_that_are_left_out_are_zero_and_a_device_without_eui_is_known_by_its_id():
    message = tts(uplink_message={"f_cnt": None, "f_port": None, "session_key_id": None})
    del message["end_device_ids"]["dev_eui"]

    decoded = decode(message)

    assert (decoded.f_cnt, decoded.f_port, decoded.dev_eui, decoded.device) == (0, 0, None, DEVICE)


def test_without_tenant_in_the_topic_the_application_stands_alone():
    assert decode(tts(), "v3/roads/devices/soil-7/up").device == DeviceKey("tts-v3", "roads", "soil-7")


def test_normalized_measurements_are_taken_with_their_depth_and_own_time():
    normalized = [
        {"soil": {"depth": 20, "moisture": 31.5, "ec": 0.4}, "battery": 3.1},
        {"soil": {"depth": 60, "moisture": 40}},
        {"time": "2026-03-10T11:28:00Z", "air": {"temperature": 3, "relativeHumidity": 88}},
    ]

    message = decode(tts(uplink_message={"normalized_payload": normalized}))

    assert values(message) == {
        ("soil_moisture_pct", 20): 31.5,
        ("soil_ec_us_per_cm", 20): 400,
        ("battery_v", None): 3.1,
        ("soil_moisture_pct", 60): 40,
        ("air_temp_c", None): 3,
        ("humidity_pct", None): 88,
    }
    assert {o.observed_at for o in message.observations if o.quantity == "air_temp_c"} == {
        datetime(2026, 3, 10, 11, 28, tzinfo=UTC)
    }


def test_a_registered_profile_wins_over_normalized_measurements():
    both = tts(uplink_message={"normalized_payload": [{"soil": {"moisture": 99}}]})

    assert values(decode(both, registered={DEVICE: "dragino-lse01"}))["soil_moisture_pct", None] == 31.2
    assert values(decode(both))["soil_moisture_pct", None] == 99


def test_a_simulated_uplink_is_kept_under_a_believable_time_and_measures_nothing():
    message = decode(tts(simulated=True, uplink_message={"received_at": "0001-01-01T00:00:00Z"}))

    assert message.event_at == datetime(2026, 3, 10, 11, 58, 1, 200000, tzinfo=UTC)
    assert (message.clock, message.observations) == (Clock.APPLICATION_SERVER, ())
    assert message.details["simulated"] is True


def test_simulated_uplinks_without_counter_or_time_are_told_apart_by_the_servers_time():
    zero = {"received_at": "0001-01-01T00:00:00Z", "f_cnt": None}
    first = decode(tts(simulated=True, uplink_message=zero))
    second = decode(tts(simulated=True, uplink_message=zero, received_at="2026-03-10T11:58:09Z"))

    assert first.message_id != second.message_id


def test_without_a_servers_time_a_gateways_is_taken_and_named():
    message = decode(tts(received_at=None, uplink_message={"received_at": None}))

    assert (message.event_at, message.clock) == (datetime(2026, 3, 10, 11, 58, tzinfo=UTC), Clock.GATEWAY)


def test_without_any_time_the_message_is_kept_under_its_arrival():
    message = decode(tts(received_at=None, uplink_message={"received_at": None, "rx_metadata": None}))

    assert (message.event_at, message.clock, message.flags) == (None, Clock.ARRIVAL, Flag.CLOCK)


def test_the_message_id_depends_on_nothing_that_stored_messages_lack():
    stored = tts(correlation_ids=None, uplink_message={"session_key_id": None})

    assert decode(stored).message_id == decode(tts()).message_id
    assert decode(tts(uplink_message={"f_cnt": 9})).message_id != decode(tts()).message_id


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("join_accept", "join"),
        ("downlink_queued", "down/queued"),
        ("downlink_sent", "down/sent"),
        ("downlink_ack", "down/ack"),
        ("downlink_nack", "down/nack"),
        ("downlink_failed", "down/failed"),
        ("location_solved", "location/solved"),
        ("service_data", "service/data"),
    ],
)
def test_every_kind_of_event_is_recorded_as_what_it_is(member, kind):
    event = tts() | {member: {"session_key_id": "k", "f_cnt": 3}}
    del event["uplink_message"]

    message = decode(event, f"v3/roads@essen/devices/soil-7/{kind}")

    assert (message.event_kind, message.details["f_cnt"], message.observations) == (kind, 3, ())


def test_an_empty_join_accept_is_still_a_join():
    event = tts(join_accept={})
    del event["uplink_message"]

    assert decode(event).event_kind == "join"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"end_device_ids": {"device_id": "x"}}, "invalid_field"),
        ({**tts(), "uplink_message": None}, "unknown_event_kind"),
        (tts(uplink_message={"frm_payload": "no base64!"}), "invalid_field"),
        (tts(uplink_message={"f_cnt": 2**32}), "invalid_field"),
    ],
)
def test_what_is_no_message_is_rejected_with_a_reason(message, code):
    with pytest.raises(MessageRejectedError) as caught:
        decode(message)

    assert caught.value.code == code


def test_a_stored_message_in_its_wrapper_is_the_live_one():
    live = tts()
    stored = {"result": {key: value for key, value in live.items() if key != "correlation_ids"}}

    one, other = decode(live), decode(stored)

    assert one.message_id == other.message_id
    assert one.observations == other.observations
    assert (one.receptions, one.event_at, one.device) == (other.receptions, other.event_at, other.device)


def test_receptions_tell_every_gateway_and_how_far_its_clock_is_from_the_servers():
    heard = [
        {"gateway_ids": {"gateway_id": "g1", "eui": "00AA"}, "rssi": -80, "time": "2026-03-10T11:58:00.5Z"},
        {"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": {"forwarder_gateway_eui": "00BB"}, "snr": 2},
        {"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": {"message_id": "x"}},
    ]

    message = decode(tts(uplink_message={"rx_metadata": heard}))

    assert message.receptions == (
        Reception("00AA", -80, 0, pytest.approx(-0.5)),
        Reception("00BB", 0, 2, None),
        Reception("packetbroker", 0, 0, None),
    )
    assert (message.gateway_count, message.clock_skew_s) == (3, None)


def test_the_year_1_is_no_time_to_compare_with():
    message = decode(tts(uplink_message={"received_at": "0001-01-01T00:00:00Z"}))

    assert message.clock is Clock.APPLICATION_SERVER
    assert message.receptions[0].clock_skew_s is None
