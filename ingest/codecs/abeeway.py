"""Abeeway asset tracker 2: messages of type 3 (position) and 10 (event), big-endian, port 18.

A byte of a *condensed* number is spread over a range: value = (byte − reserved ÷ 2) × (high − low) ÷ (255 − reserved)
+ low. `age` says how long before the uplink the position was taken.
"""

from collections.abc import Mapping

from ingest.codecs.codec import Codec, Example, FieldDoc, Fields, Frame, number_of
from ingest.codecs.layout import unknown_fields
from roadtwin.errors import CodecError

_MODES = (
    *("STAND_BY", "MOTION_TRACKING", "PERMANENT_TRACKING", "MOTION_START_END_TRACKING"),
    *("ACTIVITY_TRACKING", "OFF"),
)
_POSITIONS = (
    *("GPS", "GPS_TIMEOUT", "ENCRYPTED_WIFI_BSSIDS", "WIFI_TIMEOUT", "WIFI_FAILURE", "XGPS_DATA"),
    *("XGPS_DATA_WITH_GPS_SW_TIME", "BLE_BEACON_SCAN", "BLE_BEACON_FAILURE", "WIFI_BSSIDS_WITH_NO_CYPHER"),
    *("BLE_BEACON_SCAN_SHORT_ID", "BLE_BEACON_SCAN_LONG_ID"),
)
_EVENTS = ("GEOLOC_START", "MOTION_START", "MOTION_END")
"""Only the events whose number is settled; others are `EVENT_n`."""
_HEADER = (
    *("trackingMode", "sosFlag", "appState", "dynamicMotionState", "periodicPosition", "onDemand"),
    *("batteryLevel", "batteryStatus", "temperatureMeasure", "ackToken", "messageType"),
)
_AGE_STEP_S = 8


class AssetTracker2(Codec):
    """Other messages (heartbeat, energy, scans of radio beacons) have no measurement of ours: CodecError names them."""

    name = "abeeway/asset-tracker-2"
    title = "Asset tracker 2 (compact and industrial tracker)"
    family = "abeeway"
    default_port = 18
    ports = frozenset((17, 18, 19))
    examples = (
        Example("position, 24 s old", 18, "0326a06e00031dbc2007e90205"),
        Example("motion begins", 18, "0a24a06e0001"),
    )

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        if len(payload) < 6:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected at least 6.")
        kind, status, battery, temperature, more = payload[:5]
        if kind not in (3, 10):
            raise CodecError(f"{self.name}: got a message of type {kind}, expected 3 (position) or 10 (event).")
        fields: Fields = {
            "messageType": "POSITION_MESSAGE" if kind == 3 else "EVENT",
            "trackingMode": _MODES[status >> 5] if status >> 5 < len(_MODES) else "UNKNOWN",
            "sosFlag": status >> 4 & 1,
            "appState": status >> 3 & 1,
            "dynamicMotionState": "MOVING" if status & 4 else "STATIC",
            "periodicPosition": bool(status & 2),
            "onDemand": bool(status & 1),
            "batteryLevel": None if battery in (0, 255) else battery,
            "batteryStatus": {0: "CHARGING", 255: "UNKNOWN"}.get(battery, "OPERATING"),
            "temperatureMeasure": round(temperature * 129 / 255 - 44, 1),
            "ackToken": more >> 4,
        }
        if kind == 10:
            event = payload[5]
            fields["eventType"] = _EVENTS[event] if event < len(_EVENTS) else f"EVENT_{event}"
            return (Frame(fields),)
        source = more & 15
        fields["rawPositionType"] = _POSITIONS[source] if source < len(_POSITIONS) else "UNKNOWN"
        if source != 0:
            return (Frame(fields),)
        if len(payload) != 13:
            raise CodecError(f"{self.name}: got {len(payload)} bytes with a GPS position, expected 13.")
        age_s = payload[5] * _AGE_STEP_S
        fields |= {
            "age": age_s,
            "gpsLatitude": int.from_bytes(payload[6:9], "big", signed=True) * 256 / 10_000_000,
            "gpsLongitude": int.from_bytes(payload[9:12], "big", signed=True) * 256 / 10_000_000,
            "horizontalAccuracy": round(payload[12] * 1000 / 255, 2),
        }
        return (Frame(fields, age_s=float(age_s)),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """A GPS position, or an event when `eventType` is given."""
        is_event = "eventType" in fields
        own = (
            ("eventType",)
            if is_event
            else ("age", "gpsLatitude", "gpsLongitude", "horizontalAccuracy", "rawPositionType")
        )
        unknown_fields(self.name, fields, (*_HEADER, *own))
        mode = fields.get("trackingMode", "STAND_BY")
        if mode not in _MODES:
            raise CodecError(f"{self.name}: got trackingMode {mode!r}, expected one of {', '.join(_MODES)}.")
        status = _MODES.index(str(mode)) << 5
        for bit, name in ((4, "sosFlag"), (3, "appState"), (1, "periodicPosition"), (0, "onDemand")):
            status |= bool(fields.get(name)) << bit
        status |= (fields.get("dynamicMotionState") == "MOVING") << 2
        battery = 0 if fields.get("batteryStatus") == "CHARGING" else fields.get("batteryLevel", 255)
        level = 255 if battery is None else round(number_of(self.name, {"batteryLevel": battery}, "batteryLevel"))
        temperature = round((number_of(self.name, fields, "temperatureMeasure") + 44) * 255 / 129)
        token = round(number_of(self.name, {"ackToken": 0, **fields}, "ackToken"))
        if not (0 <= level <= 255 and 0 <= temperature <= 255 and 0 <= token <= 15):
            raise CodecError(f"{self.name}: got a value that its byte cannot carry (battery, temperature or ackToken).")
        head = bytes((10 if is_event else 3, status, level, temperature, token << 4))
        if is_event:
            if fields["eventType"] not in _EVENTS:
                raise CodecError(f"{self.name}: got eventType {fields['eventType']!r}, expected one of {_EVENTS}.")
            return self.default_port, head + bytes((_EVENTS.index(str(fields["eventType"])),))
        return self.default_port, head + self._fix(fields)

    def _fix(self, fields: Mapping[str, object]) -> bytes:
        age = round(number_of(self.name, {"age": 0, **fields}, "age") / _AGE_STEP_S)
        accuracy = round(number_of(self.name, fields, "horizontalAccuracy") * 255 / 1000)
        lat, lon = (
            round(number_of(self.name, fields, name) * 10_000_000 / 256) for name in ("gpsLatitude", "gpsLongitude")
        )
        try:
            return (
                bytes((age,))
                + lat.to_bytes(3, "big", signed=True)
                + lon.to_bytes(3, "big", signed=True)
                + bytes((accuracy,))
            )
        except (ValueError, OverflowError):
            raise CodecError(f"{self.name}: got age, position or accuracy out of the range of their bytes.") from None

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """By bytes."""
        return (
            FieldDoc("byte 0", "messageType", "", "3 POSITION_MESSAGE, 10 EVENT"),
            FieldDoc("byte 1, bits 5–7", "trackingMode", "", ", ".join(f"{i} {m}" for i, m in enumerate(_MODES))),
            FieldDoc("byte 1, bits 4, 3", "sosFlag, appState", "", "0 or 1"),
            FieldDoc("byte 1, bit 2", "dynamicMotionState", "", "0 STATIC, 1 MOVING"),
            FieldDoc("byte 1, bits 1, 0", "periodicPosition, onDemand", "", "true or false"),
            FieldDoc("byte 2", "batteryLevel, batteryStatus", "", "u8; 0 CHARGING, 255 UNKNOWN, without a level"),
            FieldDoc("byte 3", "temperatureMeasure", "°C", "condensed, −44 to 85"),
            FieldDoc("byte 4, bits 4–7", "ackToken", "", "u4"),
            FieldDoc(
                "byte 4, bits 0–3", "rawPositionType", "", ", ".join(f"{i} {p}" for i, p in enumerate(_POSITIONS))
            ),
            FieldDoc(
                "event, byte 5",
                "eventType",
                "",
                ", ".join(f"{i} {e}" for i, e in enumerate(_EVENTS)) + ", else EVENT_n",
            ),
            FieldDoc("GPS, byte 5", "age", "s", "u8 × 8"),
            FieldDoc("GPS, bytes 6–8", "gpsLatitude", "°", "i24 × 256 ÷ 10000000"),
            FieldDoc("GPS, bytes 9–11", "gpsLongitude", "°", "i24 × 256 ÷ 10000000"),
            FieldDoc("GPS, byte 12", "horizontalAccuracy", "m", "condensed, 0 to 1000"),
        )


CODECS = (AssetTracker2(),)
