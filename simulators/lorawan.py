"""Wire formats of network servers: what ChirpStack v4, The Things Stack v3 and a generic gateway publish.

Sources: chirpstack-docs, integrations/events; lorawan-stack-docs, data formats; RFC 8428. Field names, order and the
handling of zeros are theirs: ChirpStack writes the zeros of an event but not of nested messages, The Things Stack
writes none.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import cos, hypot, log10, radians
from typing import Any

import msgspec

from simulators.devices import CHIRPSTACK_TENANT_NAME, TTS_APPLICATION, Device, Gateway
from simulators.sensors import Sample
from simulators.world import World

SESSION_DAYS = 120
"""A device joins anew after that many days, and counts its frames from 0."""
_GPS_EPOCH_S, _LEAP_S = 315_964_800, 18
_FREQUENCIES_HZ = (
    868_100_000,
    868_300_000,
    868_500_000,
    867_100_000,
    867_300_000,
    867_500_000,
    867_700_000,
    867_900_000,
)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SENML_FIELDS = {"water_level": ("water_level_mm", "mm"), "battery": ("battery_v", "V")}


@dataclass(frozen=True, slots=True)
class Reception:
    """How one gateway heard a frame."""

    gateway: Gateway
    rssi: int
    snr: float


class LoRaWan:
    """The radio network of a world and its servers."""

    def __init__(self, world: World) -> None:
        self._world, self._streams = world, world.streams
        self._tenant = str(world.streams.uuid("tenant"))
        self._profile = {
            d.kind.profile_name: str(world.streams.uuid("profile", d.kind.profile_name)) for d in world.devices
        }
        self._near = lru_cache(maxsize=None)(self._near_uncached)

    # -- radio -----------------------------------------------------------------------------------------------------
    def _near_uncached(self, number: int) -> tuple[tuple[Gateway, float], ...]:
        """Gateways that may hear a device, and the mean signal there [dBm]: log-distance path loss in a town."""
        device = self._world.devices[number]
        heard = []
        for place, gateway in enumerate(self._world.gateways):
            east = (gateway.lon - device.lon) * 111_320 * cos(radians(device.lat))
            metres = max(hypot(east, (gateway.lat - device.lat) * 111_320), 30.0)
            shadow = 6.0 * self._streams.normals("lorawan/shadow", number, place, 1)[0]
            heard.append((gateway, -64.0 - 33.0 * log10(metres / 100) + shadow))
        heard.sort(key=lambda pair: (-pair[1], pair[0].gateway_id))
        # Somebody planned this network: every device is heard by one gateway at least.
        return tuple(pair for i, pair in enumerate(heard) if i == 0 or pair[1] > -120.0)[:4]

    def receptions(self, device: Device, index: int) -> list[Reception]:
        """Gateways that heard a frame, best first; none when it was lost."""
        near = self._near(device.number)
        u = self._streams.numbers("lorawan/loss", device.number, index, 1 + len(near))
        if u[0] < 0.012:
            return []  # collided
        result = []
        for (gateway, mean), draw in zip(near, u[1:], strict=True):
            rssi = max(mean, -118.0) + 9.0 * (draw - 0.5)
            if rssi > -121.0:
                snr = min(max((rssi + 112.0) / 2.6, -11.0), 12.5)
                result.append(Reception(gateway, round(rssi), round(snr * 4) / 4))
        return result

    def spreading_factor(self, device: Device) -> int:
        """What adaptive data rate settles on."""
        best = self._near(device.number)[0][1]
        return next((sf for limit, sf in ((-100, 7), (-106, 8), (-111, 9), (-115, 10), (-118, 11)) if best > limit), 12)

    def dev_addr(self, device: Device, session: int) -> str:
        """Address given at the join that began a session."""
        return f"{0x26000000 | self._streams.uuid('dev-addr', device.number, session).int & 0x01FFFFFF:08x}"

    # -- ChirpStack v4 ---------------------------------------------------------------------------------------------
    def _device_info(self, device: Device) -> dict[str, Any]:
        return {
            "tenantId": self._tenant,
            "tenantName": CHIRPSTACK_TENANT_NAME,
            "applicationId": device.application,
            "applicationName": "strassenzustand",
            "deviceProfileId": self._profile[device.kind.profile_name],
            "deviceProfileName": device.kind.profile_name,
            "deviceName": device.name,
            "devEui": device.device,
            "deviceClassEnabled": "CLASS_A",
            "tags": {"simulated": "true"},
        }

    def chirpstack_up(
        self, device: Device, index: int, frame: int, session: int, at_us: int, sample: Sample, heard: list[Reception]
    ) -> tuple[str, bytes]:
        """Topic and payload of an uplink event."""
        dedup = self._streams.uuid("uplink", device.number, index)
        extra = dedup.int
        sf = self.spreading_factor(device)
        rx_info = [self._rx_info(reception, at_us, extra >> (11 * i)) for i, reception in enumerate(heard)]
        has_gps = any(r.gateway.has_gnss_clock for r in heard)
        event = {
            "deduplicationId": str(dedup),
            "time": _nanos(at_us, extra % 1000) if has_gps else rx_info[0]["nsTime"],
            "deviceInfo": self._device_info(device),
            "devAddr": self.dev_addr(device, session),
            "adr": True,
            "dr": 12 - sf,
            "fCnt": frame,
            "fPort": device.kind.f_port,
            "confirmed": False,
            "data": base64.b64encode(sample.data).decode(),
            "object": sample.fields,
            "rxInfo": rx_info,
            "txInfo": {
                "frequency": _FREQUENCIES_HZ[extra % 8],
                "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": sf, "codeRate": "CR_4_5"}},
            },
            "regionConfigId": "eu868",
        }
        return self._chirpstack_topic(device, "up"), msgspec.json.encode(event)

    def _rx_info(self, reception: Reception, at_us: int, bits: int) -> dict[str, Any]:
        gateway, nanos = reception.gateway, bits % 1000
        delay_us = 40_000 + bits % 90_000
        info: dict[str, Any] = {"gatewayId": gateway.gateway_id, "uplinkId": bits % 2**16 + 1}
        if gateway.has_gnss_clock:
            info["gwTime"] = _nanos(at_us, nanos)
        info["nsTime"] = _nanos(at_us + delay_us, (nanos * 7) % 1000)
        if gateway.has_gnss_clock:
            gps_us = at_us - (_GPS_EPOCH_S - _LEAP_S) * 1_000_000
            info["timeSinceGpsEpoch"] = f"{gps_us // 1_000_000}.{gps_us % 1_000_000:06d}{nanos:03d}s"
        if reception.rssi:
            info["rssi"] = reception.rssi
        if reception.snr:
            info["snr"] = reception.snr
        if channel := bits % 8:
            info["channel"] = channel
        info["location"] = {"latitude": gateway.lat, "longitude": gateway.lon, "altitude": gateway.altitude_m}
        info["context"] = base64.b64encode((bits % 2**32).to_bytes(4, "big")).decode()
        info["metadata"] = {"region_common_name": "EU868", "region_config_id": "eu868"}
        info["crcStatus"] = "CRC_OK"
        return info

    def chirpstack_join(self, device: Device, session: int, at_us: int) -> tuple[str, bytes]:
        """Topic and payload of a join event."""
        event = {
            "deduplicationId": str(self._streams.uuid("join", device.number, session)),
            "time": _nanos(at_us, 0),
            "deviceInfo": self._device_info(device),
            "devAddr": self.dev_addr(device, session),
        }
        return self._chirpstack_topic(device, "join"), msgspec.json.encode(event)

    def chirpstack_status(self, device: Device, index: int, at_us: int, battery_v: float) -> tuple[str, bytes]:
        """Topic and payload of a device-status event."""
        level = round(min(max((battery_v - 3.0) / 0.65, 0.01), 1.0) * 254)
        event = {
            "deduplicationId": str(self._streams.uuid("status", device.number, index)),
            "time": _nanos(at_us, 0),
            "deviceInfo": self._device_info(device),
            "margin": round(self._near(device.number)[0][1]) + 125 & 31,
            "externalPowerSource": False,
            "batteryLevelUnavailable": False,
            "batteryLevel": round(level / 254 * 100, 2),
        }
        return self._chirpstack_topic(device, "status"), msgspec.json.encode(event)

    def _chirpstack_topic(self, device: Device, event: str) -> str:
        return f"application/{device.application}/device/{device.device}/event/{event}"

    # -- The Things Stack v3 ---------------------------------------------------------------------------------------
    def tts_up(
        self, device: Device, index: int, frame: int, session: int, at_us: int, sample: Sample, heard: list[Reception]
    ) -> tuple[str, bytes]:
        """Topic and payload of an uplink message."""
        extra = self._streams.uuid("uplink", device.number, index).int
        sf = self.spreading_factor(device)
        uplink: dict[str, Any] = {
            "session_key_id": self._session_key_id(device, session),
            "f_port": device.kind.f_port,
            "f_cnt": frame,
            "frm_payload": base64.b64encode(sample.data).decode(),
            "decoded_payload": sample.fields,
            "rx_metadata": [self._rx_metadata(r, at_us, extra >> (11 * i)) for i, r in enumerate(heard)],
            "settings": {
                "data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": sf, "coding_rate": "4/5"}},
                "frequency": str(_FREQUENCIES_HZ[extra % 8]),
                "timestamp": at_us % 2**32,
            },
            "received_at": _nanos_z(at_us + 55_000 + extra % 60_000, extra % 997),
            "consumed_airtime": f"{_airtime_s(len(sample.data) + 13, sf):.6f}s",
            "version_ids": {
                "brand_id": "roadtwin-sim",
                "model_id": device.kind.profile_name,
                "hardware_version": "1.0",
                "firmware_version": "1.0",
                "band_id": "EU_863_870",
            },
            "network_ids": {"net_id": "000013", "tenant_id": "simulierte-stadt", "cluster_id": "eu1"},
        }
        if frame == 0:
            del uplink["f_cnt"]  # empty values are left out
        up = {
            "end_device_ids": self._end_device_ids(device, session),
            "correlation_ids": [f"gs:uplink:{_ulid(at_us, extra)}"],
            "received_at": _nanos_z(at_us + 260_000 + extra % 60_000, extra % 991),
            "uplink_message": uplink,
        }
        return self._tts_topic(device, "up"), msgspec.json.encode(up)

    def tts_join(self, device: Device, session: int, at_us: int) -> tuple[str, bytes]:
        """Topic and payload of a join-accept message."""
        extra = self._streams.uuid("join", device.number, session).int
        up = {
            "end_device_ids": self._end_device_ids(device, session),
            "correlation_ids": [f"gs:uplink:{_ulid(at_us, extra)}"],
            "received_at": _nanos_z(at_us + 300_000, extra % 991),
            "join_accept": {
                "session_key_id": self._session_key_id(device, session),
                "received_at": _nanos_z(at_us + 90_000, extra % 997),
            },
        }
        return self._tts_topic(device, "join"), msgspec.json.encode(up)

    def _end_device_ids(self, device: Device, session: int) -> dict[str, Any]:
        return {
            "device_id": device.device,
            "application_ids": {"application_id": TTS_APPLICATION},
            "dev_eui": (device.dev_eui or "").upper(),
            "join_eui": "0000000000000001",
            "dev_addr": self.dev_addr(device, session).upper(),
        }

    def _rx_metadata(self, reception: Reception, at_us: int, bits: int) -> dict[str, Any]:
        gateway = reception.gateway
        metadata: dict[str, Any] = {
            "gateway_ids": {"gateway_id": f"eui-{gateway.gateway_id}", "eui": gateway.gateway_id.upper()},
        }
        if gateway.has_gnss_clock:
            metadata["time"] = _nanos_z(at_us, bits % 1000)
        metadata |= {"timestamp": (at_us + bits) % 2**32, "rssi": reception.rssi, "channel_rssi": reception.rssi}
        if reception.snr:
            metadata["snr"] = reception.snr
        metadata["location"] = {
            "latitude": gateway.lat,
            "longitude": gateway.lon,
            "altitude": round(gateway.altitude_m),
            "source": "SOURCE_REGISTRY",
        }
        metadata["uplink_token"] = base64.b64encode((bits % 2**96).to_bytes(12, "big")).decode()
        if channel := bits % 8:
            metadata["channel_index"] = channel
        if gateway.has_gnss_clock:
            metadata["gps_time"] = _nanos_z(at_us, bits % 1000)
        metadata["received_at"] = _nanos_z(at_us + 30_000 + bits % 50_000, bits % 983)
        return metadata

    def _session_key_id(self, device: Device, session: int) -> str:
        return base64.b64encode(self._streams.uuid("session", device.number, session).bytes).decode()

    def _tts_topic(self, device: Device, event: str) -> str:
        return f"v3/{device.application}/devices/{device.device}/{event}"

    # -- generic gateway -------------------------------------------------------------------------------------------
    def senml(self, device: Device, at_us: int, sample: Sample) -> tuple[str, bytes]:
        """Topic and pack (RFC 8428) of a sensor behind a generic gateway."""
        records: list[dict[str, Any]] = []
        for name, value in sample.fields.items():
            quantity, unit = _SENML_FIELDS[name]
            records.append({"n": quantity, "u": unit, "v": value})
        records[0] = {"bn": f"{device.device}/", "bt": at_us / 1e6, **records[0]}
        return f"roadtwin/v1/sensors/{device.device}/readings", msgspec.json.encode(records)


def _nanos(us: int, nanos: int) -> str:
    """ChirpStack's way to write a time: nine digits and an offset."""
    return f"{_seconds(us // 1_000_000)}.{us % 1_000_000:06d}{nanos:03d}+00:00"


def _nanos_z(us: int, nanos: int) -> str:
    """The Things Stack's way to write a time."""
    return f"{_seconds(us // 1_000_000)}.{us % 1_000_000:06d}{nanos:03d}Z"


@lru_cache(maxsize=4096)
def _seconds(seconds: int) -> str:
    return (_UNIX + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def _ulid(us: int, bits: int) -> str:
    """Correlation ids are ULIDs: 48 bits of milliseconds and 80 random ones, base 32."""
    value = (us // 1000) << 80 | bits & (2**80 - 1)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def _airtime_s(size: int, sf: int) -> float:
    """Time on air of a frame of `size` bytes at 125 kHz, coding rate 4/5 (Semtech AN1200.13)."""
    symbol = 2**sf / 125_000
    low_rate = 1 if sf >= 11 else 0
    symbols = 8 + max(-(-(8 * size - 4 * sf + 44) // (4 * (sf - 2 * low_rate))) * 5, 0)
    return (12.25 + symbols) * float(symbol)
