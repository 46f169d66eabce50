"""Devices and their series: found or made when a message names them, registered from a CSV file."""

import csv
from collections import ChainMap
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from roadtwin.errors import InputFileError
from roadtwin.storage.queries import load
from roadtwin.types import DeviceKey, Message

Connection = psycopg.Connection[Any]
SeriesKey = tuple[int, str, str, int | None]

TOUCH_AFTER = timedelta(minutes=1)
"""How far `last_seen_at` may lag behind: a row that changes with every message would be rewritten all the time."""

NETWORK_SOURCES = ("chirpstack-v4", "chirpstack-v3", "tts-v3", "senml")
STATUSES = ("unconfirmed", "confirmed", "retired")
CSV_COLUMNS = (
    "network_source", "application", "device", "dev_eui", "name", "profile_name", "status", "channel", "lon", "lat",
    "section_source", "source_section_id", "station_m", "valid_from",
)  # fmt: skip
_NEEDED = ("network_source", "application", "device")


class KnownDevice(NamedTuple):
    """A row of `device` as a writer knows it."""

    device_id: int
    dev_eui: str | None
    name: str | None
    profile_name: str | None
    last_seen_at: datetime | None


class DeviceBook:
    """Devices and series that one connection has met, so that a batch asks the database only for what is new.

    `devices` and `series` are committed: we never delete rows of either table, so an id once known stays right, and
    other threads may look into them. (Should somebody delete one, a foreign key says so and the book is begun anew.)
    What a transaction meets comes in with `keep`, after its COMMIT, or is forgotten.
    Memory is bounded: a book that is full begins anew.
    """

    def __init__(self, most: int = 200_000) -> None:
        self._most = most
        self.devices: dict[DeviceKey, KnownDevice] = {}
        self.series: dict[SeriesKey, int] = {}
        self._new_devices: dict[DeviceKey, KnownDevice] = {}
        self._new_series: dict[SeriesKey, int] = {}

    def keep(self) -> None:
        """The transaction is committed."""
        if len(self.devices) + len(self._new_devices) > self._most:
            self.devices.clear()
        if len(self.series) + len(self._new_series) > self._most:
            self.series.clear()
        self.devices.update(self._new_devices)
        self.series.update(self._new_series)
        self.forget()

    def forget(self) -> None:
        """The transaction is undone, or over."""
        self._new_devices.clear()
        self._new_series.clear()

    def meet(self, conn: Connection, messages: Iterable[Message]) -> Mapping[DeviceKey, KnownDevice]:
        """The devices of these messages, and others. Those that are new become devices, `unconfirmed`."""
        news = [m for m in messages if m.device is not None and has_news(self.devices.get(m.device), m)]
        if not news:
            return self.devices
        self._new_devices |= resolve_devices(conn, news, self.devices)
        return ChainMap(self._new_devices, self.devices)

    def meet_series(self, conn: Connection, wanted: Iterable[SeriesKey]) -> Mapping[SeriesKey, int]:
        """These series, and others. Those that are new are made."""
        missing = set(wanted) - self.series.keys()
        if not missing:
            return self.series
        self._new_series |= resolve_series(conn, missing)
        return ChainMap(self._new_series, self.series)


def has_news(known: KnownDevice | None, message: Message) -> bool:
    """Whether the message's device is not known, or its row should learn from the message."""
    if known is None or known.last_seen_at is None:
        return True
    at = message.event_at
    if at is None or at > message.recorded_at:
        at = message.recorded_at
    if at > known.last_seen_at:
        return at > known.last_seen_at + TOUCH_AFTER or bool(message.device_name and message.device_name != known.name)
    return False


def resolve_devices(
    conn: Connection, messages: Iterable[Message], known: Mapping[DeviceKey, KnownDevice]
) -> dict[DeviceKey, KnownDevice]:
    """The devices of these messages, some of them `known`. A device that is new becomes one, `unconfirmed`."""
    seen: dict[DeviceKey, dict[str, Any]] = {}
    for message in messages:
        if message.device is None:
            continue
        at = min(message.event_at or message.recorded_at, message.recorded_at)  # a clock ahead does not count
        row = seen.setdefault(
            message.device,
            {
                "network_source": message.device.network_source,
                "application": message.device.application,
                "device": message.device.device,
                "dev_eui": message.dev_eui,
                "name": None,
                "profile_name": None,
                "first_seen_at": at,
                "last_seen_at": at,
            },
        )
        row["first_seen_at"] = min(row["first_seen_at"], at)
        if at >= row["last_seen_at"]:  # names change: the newest message has the name of now
            row["last_seen_at"] = at
            row["name"] = message.device_name or row["name"]
            row["profile_name"] = message.profile_name or row["profile_name"]
    if not seen:
        return {}
    sql = load("devices")
    found = {key: known[key] for key in seen if key in known}
    if len(found) < len(seen):
        found |= _find_devices(conn, seen.keys() - found.keys())
    missing = [seen[key] for key in sorted(seen, key=_order) if key not in found]
    if missing:
        with conn.cursor() as cursor:
            cursor.executemany(sql["insert_device_first_seen"], missing)
        found |= _find_devices(conn, {key: row for key, row in seen.items() if key not in found})
    stale = [seen[key] | {"device_id": found[key][0]} for key in seen if _is_stale(found[key], seen[key])]
    if stale:
        stale.sort(key=_by_device_id)
        columns = {name: [row[name] for row in stale] for name in stale[0]}
        found |= _known(conn.execute(sql["touch_devices"], columns))
    return found


def _order(key: DeviceKey) -> tuple[str, str, str]:
    return (key.network_source, key.application, key.device)


def _by_device_id(row: Mapping[str, Any]) -> int:
    return int(row["device_id"])


def devices_by_name(conn: Connection, keys: AbstractSet[DeviceKey]) -> dict[DeviceKey, KnownDevice]:
    """These devices; one that is new becomes a device, `unconfirmed`, of which no message was seen yet."""
    found = _find_devices(conn, keys)
    nothing = dict.fromkeys(("dev_eui", "name", "profile_name", "first_seen_at", "last_seen_at"))
    new = [
        {"network_source": key.network_source, "application": key.application, "device": key.device, **nothing}
        for key in sorted(keys - found.keys(), key=_order)
    ]
    if not new:
        return found
    with conn.cursor() as cursor:
        cursor.executemany(load("devices")["insert_device_first_seen"], new)
    return _find_devices(conn, keys)


def _find_devices(conn: Connection, keys: Iterable[DeviceKey]) -> dict[DeviceKey, KnownDevice]:
    wanted = list(keys)
    rows = conn.execute(
        load("devices")["find_devices"],
        {
            "network_sources": [key.network_source for key in wanted],
            "applications": [key.application for key in wanted],
            "devices": [key.device for key in wanted],
        },
    )
    return _known(rows)


def _known(rows: Iterable[tuple[Any, ...]]) -> dict[DeviceKey, KnownDevice]:
    return {DeviceKey(*row[:3]): KnownDevice(*row[3:]) for row in rows}


def _is_stale(known: KnownDevice, seen: Mapping[str, Any]) -> bool:
    _, dev_eui, name, profile_name, last_seen_at = known
    if last_seen_at is None or seen["last_seen_at"] > last_seen_at + TOUCH_AFTER:
        return True
    if (seen["dev_eui"] and not dev_eui) or (seen["profile_name"] and not profile_name):
        return True
    return bool(seen["name"]) and seen["name"] != name and seen["last_seen_at"] >= last_seen_at


def resolve_series(conn: Connection, wanted: AbstractSet[SeriesKey]) -> dict[SeriesKey, int]:
    """Ids of these series, made where they are new; also those of the other series of the same devices."""
    sql = load("devices")
    parameters = {"device_ids": sorted({key[0] for key in wanted})}

    def find() -> dict[SeriesKey, int]:
        rows = conn.execute(sql["find_series"], parameters)
        return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}

    found = find()
    missing = wanted - found.keys()
    if missing:
        in_order = sorted(missing, key=_by_series_key)
        with conn.cursor() as cursor:
            cursor.executemany(sql["insert_series"], in_order)
        found = find()
    return found


def _by_series_key(key: SeriesKey) -> tuple[int, str, str, int]:
    return (*key[:3], -1 if key[3] is None else key[3])


def read_registered_profiles(conn: Connection) -> dict[DeviceKey, str]:
    """Device → name of the sensor profile that an operator confirmed for it."""
    rows = conn.execute(load("devices")["read_registered_profiles"])
    return {DeviceKey(row[0], row[1], row[2]): row[3] for row in rows}


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One checked row of a device file: a device, and where it (or one channel of it) is installed."""

    key: DeviceKey
    dev_eui: str | None
    name: str | None
    profile_name: str | None
    status: str
    channel: str
    lon: float | None
    lat: float | None
    section_source: str | None
    source_section_id: str | None
    station_m: float | None
    valid_from: datetime | None


def read_device_rows(rows: Iterable[Mapping[str, str | None]], *, source: str = "devices") -> list[DeviceRow]:
    """Check rows of the device CSV (`CSV_COLUMNS`; empty means not given).

    Raises InputFileError with the number of the row and what was got and expected.
    """
    return [_check_row(dict(row), f"{source}, row {number}") for number, row in enumerate(rows, start=2)]


def read_device_file(path: Path) -> list[DeviceRow]:
    """Read a device CSV (UTF-8, header with `CSV_COLUMNS` in any order).

    Raises InputFileError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [c for c in _NEEDED if c not in (reader.fieldnames or [])]
            if missing:
                raise InputFileError(f"{path}: got no column {', '.join(missing)}, expected {', '.join(CSV_COLUMNS)}.")
            unknown = [c for c in reader.fieldnames or [] if c not in CSV_COLUMNS]
            if unknown:
                raise InputFileError(f"{path}: got unknown columns {', '.join(unknown)}.")
            return read_device_rows(reader, source=str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise InputFileError(f"{path}: cannot be read: {exc}.") from None


def _check_row(row: dict[str, str | None], where: str) -> DeviceRow:
    if None in row:
        raise InputFileError(f"{where}: got more values than columns.")
    text = {column: (row.get(column) or "").strip() or None for column in CSV_COLUMNS}
    source, device = text["network_source"], text["device"]
    if source not in NETWORK_SOURCES:
        raise InputFileError(f"{where}: got network_source {source!r}, expected one of {', '.join(NETWORK_SOURCES)}.")
    if device is None:
        raise InputFileError(f"{where}: got no device.")
    status = text["status"] or "confirmed"
    if status not in STATUSES:
        raise InputFileError(f"{where}: got status {status!r}, expected one of {', '.join(STATUSES)}.")
    lon, lat = _number(where, "lon", text["lon"], 180), _number(where, "lat", text["lat"], 90)
    valid_from = _instant(where, text["valid_from"])
    if (lon is None) != (lat is None) or (lon is not None and valid_from is None):
        raise InputFileError(f"{where}: expected lon, lat and valid_from together, or none of them.")
    return DeviceRow(
        key=DeviceKey(source, text["application"] or "", device.lower() if source.startswith("chirpstack") else device),
        dev_eui=text["dev_eui"].lower() if text["dev_eui"] else None,
        name=text["name"],
        profile_name=text["profile_name"],
        status=status,
        channel=text["channel"] or "",
        lon=lon,
        lat=lat,
        section_source=text["section_source"],
        source_section_id=text["source_section_id"],
        station_m=_number(where, "station_m", text["station_m"], 1e6),
        valid_from=valid_from,
    )


def _number(where: str, column: str, text: str | None, limit: float) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not -limit <= number <= limit:
        raise InputFileError(f"{where}: got {column} {text!r}, expected a number from {-limit:g} to {limit:g}.")
    return number


def _instant(where: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputFileError(f"{where}: got valid_from {text!r}, expected RFC 3339 with offset.")
    return at


def register_devices(conn: Connection, rows: Iterable[DeviceRow]) -> int:
    """Register devices and their installations; registered again, nothing changes. Gives the number of rows.

    A row with a later `valid_from` moves the device: the earlier installation ends there. Does not commit.
    Raises InputFileError when a row names a section that is not there.
    """
    sql = load("devices")
    count = 0
    for row in rows:
        key = {
            "network_source": row.key.network_source,
            "application": row.key.application,
            "device": row.key.device,
        }
        given = {"dev_eui": row.dev_eui, "name": row.name, "profile_name": row.profile_name, "status": row.status}
        (device_id,) = conn.execute(sql["register_device"], key | given).fetchone() or (None,)
        if row.lon is not None:
            place = {
                "device_id": device_id,
                "channel": row.channel,
                "valid_from": row.valid_from,
                "section_id": _section_id(conn, row),
                "station_m": row.station_m,
                "lon": row.lon,
                "lat": row.lat,
            }
            conn.execute(sql["close_installations"], place)
            conn.execute(sql["insert_installation"], place)
        count += 1
    return count


def _section_id(conn: Connection, row: DeviceRow) -> int | None:
    if row.source_section_id is None:
        return None
    found = conn.execute(
        load("devices")["find_current_section"],
        {"source": row.section_source, "source_section_id": row.source_section_id},
    ).fetchone()
    if found is None:
        raise InputFileError(
            f"Device {row.key.device}: got section {row.source_section_id!r} of {row.section_source!r}, "
            "expected one that was imported."
        )
    return int(found[0])
