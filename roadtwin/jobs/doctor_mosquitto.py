"""What stands in mosquitto.conf, judged: the only way to know what a restart of the broker would do without one."""

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from roadtwin.errors import InputFileError
from roadtwin.jobs.doctor_broker import Wanted
from roadtwin.jobs.doctor_findings import Finding

DEFAULTS = {
    "persistence": "false",
    "autosave_interval": "1800",
    "autosave_on_changes": "false",
    "max_queued_messages": "1000",
    "max_queued_bytes": "0",
    "max_inflight_messages": "20",
    "queue_qos0_messages": "false",
    "per_listener_settings": "false",
}
"""What Mosquitto 2 does when a setting is not given."""
AUTOSAVE_GOOD_S = 30
AUTOSAVE_TOLERABLE_S = 300
QUEUE_LEAST = 100_000
"""A queue limit below this is a warning: 200 messages a second for eight minutes."""

_UNIT_S = {"h": 3600, "d": 86400, "w": 7 * 86400, "m": 30 * 86400, "y": 365 * 86400}
_SQLITE = "persist_sqlite"


def parse_conf(text: str) -> dict[str, str]:
    """Settings of a mosquitto.conf; of one that is given twice, the last. Plugins are joined under `plugin`.

    Examples
    --------
    >>> parse_conf("# a comment\\npersistence true\\nlistener 1883 127.0.0.1\\n")
    {'persistence': 'true', 'listener': '1883 127.0.0.1'}
    """
    found: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        value = value.strip()
        found[name] = f"{found[name]} {value}" if name in ("plugin", "global_plugin") and name in found else value
    return found


def read_conf(path: Path) -> dict[str, str]:
    """Settings of a mosquitto.conf and of the files in its `include_dir`, in Mosquitto's order.

    Raises InputFileError for what cannot be read: half a configuration would be judged wrongly.
    """
    found = parse_conf(_read(path))
    folder = found.get("include_dir")
    if folder is None:
        return found
    if not Path(folder).is_dir():
        raise InputFileError(f"{path} includes the folder {folder}, which is not there: run the doctor where it is.")
    for file in sorted(Path(folder).glob("*.conf")):
        found |= parse_conf(_read(file))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InputFileError(f"{path} cannot be read: {reason}.") from exc


def conf_not_given() -> list[Finding]:
    """The finding when nobody told us where mosquitto.conf is."""
    return [
        Finding.unknown(
            "broker-persistence",
            "Cannot be probed without restarting the broker, and no configuration file was given.",
            "Run the doctor with --mosquitto-conf FILE; it wants `persistence true`, `autosave_interval 10`, "
            "`max_queued_messages 1000000`, `max_inflight_messages 8000`, `persistent_client_expiration 14d`. "
            "Other brokers: ask for durable sessions.",
        )
    ]


def conf_not_readable(problem: str) -> list[Finding]:
    """The findings when the file that was named cannot be read."""
    return [
        Finding.unknown(
            "mosquitto-conf", problem, "Give the file that the broker runs with, and the right to read it."
        ),
        Finding.unknown("broker-persistence", "The configuration file could not be read.", "See mosquitto-conf."),
    ]


def check_conf(given: Mapping[str, str], wanted: Wanted) -> list[Finding]:
    """Judge the settings of a mosquitto.conf (`read_conf`); what is not given is what Mosquitto 2 does by itself."""
    conf = ChainMap(dict(given), DEFAULTS)
    return [
        Finding.ok("mosquitto-conf", f"{len(given)} settings read."),
        *_persistence(conf),
        _queue(conf),
        _queue_bytes(conf),
        _in_flight(conf, wanted),
        _expiry(conf, wanted),
        _qos0(conf),
        _per_listener(conf),
    ]


def _number(conf: ChainMap[str, str], name: str) -> int | None:
    return int(conf[name]) if re.fullmatch(r"\d+", conf[name]) else None


def _shown(conf: ChainMap[str, str], name: str) -> str:
    return f"{name} {conf[name]}{'' if name in conf.maps[0] else ' (the default)'}"


def _not_a_number(check_id: str, conf: ChainMap[str, str], name: str) -> Finding:
    return Finding.unknown(check_id, f"{name} {conf[name]}: expected a number.", "Correct mosquitto.conf.")


def _persistence(conf: ChainMap[str, str]) -> list[Finding]:
    if _SQLITE in conf.get("plugin", "") + conf.get("global_plugin", ""):
        return [
            Finding.ok("broker-persistence", "The persist-sqlite plugin writes every queue to the disk."),
            Finding.ok(
                "broker-autosave", "Does not matter to persist-sqlite, which writes every five seconds or less."
            ),
        ]
    if conf["persistence"] != "true":
        fix = "`persistence true` and `persistence_location` on a disk that stays."
        return [
            Finding.danger("broker-persistence", f"{_shown(conf, 'persistence')}.", fix),
            Finding.unknown("broker-autosave", "Without persistence nothing is written.", "See broker-persistence."),
        ]
    return [Finding.ok("broker-persistence", "persistence true."), _autosave(conf)]


def _autosave(conf: ChainMap[str, str]) -> Finding:
    interval = _number(conf, "autosave_interval")
    if interval is None:
        return _not_a_number("broker-autosave", conf, "autosave_interval")
    fix = f"`autosave_interval 10` (at most {AUTOSAVE_GOOD_S}); Mosquitto 2.1 has the persist-sqlite plugin."
    if interval == 0:
        return Finding.danger("broker-autosave", "autosave_interval 0: written only when the broker is stopped.", fix)
    if conf["autosave_on_changes"] == "true":
        measured = f"Written after every {interval} changes."
        if interval > 1000:
            return Finding.warning("broker-autosave", measured, fix)
        return Finding.ok("broker-autosave", measured)
    measured = f"{_shown(conf, 'autosave_interval')}: the seconds that a killed broker loses at most."
    if interval > AUTOSAVE_TOLERABLE_S:
        return Finding.danger("broker-autosave", measured, fix)
    if interval > AUTOSAVE_GOOD_S:
        return Finding.warning("broker-autosave", measured, fix)
    return Finding.ok("broker-autosave", measured)


def _queue(conf: ChainMap[str, str]) -> Finding:
    limit = _number(conf, "max_queued_messages")
    fix = "`max_queued_messages 1000000`: at least rate × longest outage × 1.5."
    if limit is None:
        return _not_a_number("queue-limit-configured", conf, "max_queued_messages")
    if limit == 0:
        return Finding.warning(
            "queue-limit-configured",
            "max_queued_messages 0 is meant as unlimited and was not in 2.0.16 to 2.0.21.",
            fix,
        )
    if limit <= int(DEFAULTS["max_queued_messages"]):
        return Finding.danger("queue-limit-configured", f"{_shown(conf, 'max_queued_messages')}.", fix)
    if limit < QUEUE_LEAST:
        return Finding.warning("queue-limit-configured", f"{_shown(conf, 'max_queued_messages')}.", fix)
    return Finding.ok("queue-limit-configured", f"{_shown(conf, 'max_queued_messages')}.")


def _queue_bytes(conf: ChainMap[str, str]) -> Finding:
    limit = _number(conf, "max_queued_bytes")
    if limit is None:
        return _not_a_number("queue-bytes-configured", conf, "max_queued_bytes")
    if limit == 0:
        return Finding.ok("queue-bytes-configured", "No limit in bytes: the machine's memory is the limit.")
    if limit < QUEUE_LEAST * 1000:
        return Finding.warning(
            "queue-bytes-configured",
            f"max_queued_bytes {limit}: about {limit // 1000} messages of 1 kB.",
            "Size it as messages to keep × payload, or leave it at 0.",
        )
    return Finding.ok("queue-bytes-configured", f"max_queued_bytes {limit}.")


def _in_flight(conf: ChainMap[str, str], wanted: Wanted) -> Finding:
    limit = _number(conf, "max_inflight_messages")
    if limit is None:
        return _not_a_number("in-flight-limit-configured", conf, "max_inflight_messages")
    if 0 < limit < wanted.in_flight:
        return Finding.warning(
            "in-flight-limit-configured",
            f"{_shown(conf, 'max_inflight_messages')}, below the {wanted.in_flight} that keep batches large; "
            "it counts on 3.1.1. On MQTT 5 Mosquitto 2.0 takes the ingester's Receive Maximum (see in-flight-limit).",
            f"`max_inflight_messages {max(wanted.in_flight, wanted.receive_maximum)}`.",
        )
    return Finding.ok("in-flight-limit-configured", f"max_inflight_messages {limit}{'' if limit else ': no limit'}.")


def _expiry(conf: ChainMap[str, str], wanted: Wanted) -> Finding:
    text = conf.get("persistent_client_expiration")
    if text is None:
        return Finding.ok("session-expiry-configured", "persistent_client_expiration is not set: ours alone counts.")
    match = re.fullmatch(r"(\d+)([hdwmy])", text)
    if match is None:
        return Finding.unknown(
            "session-expiry-configured",
            f"persistent_client_expiration {text}: expected a number and one of h d w m y.",
            "Correct mosquitto.conf.",
        )
    expiry_s = int(match[1]) * _UNIT_S[match[2]]
    if expiry_s < wanted.session_expiry_s:
        return Finding.danger(
            "session-expiry-configured",
            f"persistent_client_expiration {text} = {expiry_s} s, ROADTWIN_MQTT_SESSION_EXPIRY_S = "
            f"{wanted.session_expiry_s} s.",
            f"`persistent_client_expiration {-(-wanted.session_expiry_s // 86400)}d`.",
        )
    return Finding.ok("session-expiry-configured", f"persistent_client_expiration {text}.")


def _qos0(conf: ChainMap[str, str]) -> Finding:
    if conf["queue_qos0_messages"] == "true":
        return Finding.ok("queue-qos0-configured", "queue_qos0_messages true.")
    return Finding.warning(
        "queue-qos0-configured",
        f"{_shown(conf, 'queue_qos0_messages')}.",
        "Let publishers use QoS 1 (see publisher-qos); where one cannot, `queue_qos0_messages true`.",
    )


def _per_listener(conf: ChainMap[str, str]) -> Finding:
    if conf["per_listener_settings"] == "true":
        return Finding.warning(
            "per-listener-settings",
            "per_listener_settings true.",
            "`per_listener_settings false`, or Mosquitto 2.0.23 or newer (#2618).",
        )
    return Finding.ok("per-listener-settings", "per_listener_settings false.")
