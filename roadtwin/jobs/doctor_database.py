"""The rules that judge what a database told about itself. Pure: nothing here opens a connection."""

from roadtwin.jobs.doctor_findings import Finding
from roadtwin.jobs.doctor_versions import (
    Version,
    check_postgresql_version,
    check_timescaledb_version,
    parse_version,
)
from roadtwin.storage.database import DatabaseMode
from roadtwin.storage.doctor import IDLE_AFTER_S, DatabaseProbe, DeviceTimes

CLOCK_TOLERANCE_S = 1.0
"""Clocks that differ by more than this are named [s]."""
DELAY_TOLERANCE_S = 300.0
"""Messages that usually take longer than this from the network server to us are named [s]."""
CONNECTIONS_LEAST = 10
REJECTED_SHARE_MOST = 0.01
DECOMPRESSION_LEAST = 1_000_000
"""Compressed rows that one batch must be able to open; TimescaleDB's default is 100,000."""

_ASKED_OF_TABLES = {"read_network_delay", "read_accounts", "read_silent_devices", "read_device_times"}
_DEPENDENT = (
    "database-mode",
    "postgresql-version",
    "timescaledb-version",
    "schema-version",
    "synchronous-commit",
    "fsync",
    "full-page-writes",
    "database-writable",
    "write-privileges",
    "database-superuser",
    "connections-left",
    "database-disk",
    "idle-in-transaction",
    "database-clock",
    "network-clock",
    "decompression-limit",
    "direct-compress",
    "rejected-share",
    "silent-devices",
    "device-times",
)
_TIME_FIXES = {
    "senml": "SenML: send the base time `bt`, in Unix time from a clock that is set, not times relative to arrival.",
    "chirpstack-v3": "ChirpStack v3: update it to 3.16 or newer, whose messages bring publishedAt.",
}
"""By network source, for messages without a usable time."""
_OTHER_TIME_FIX = "{}: its messages bring no time, or one before 2015 or over a day ahead: set the clock that gives it."
_GPS_FIX = (
    "Gateways that are over 30 s off (/v1/gateways?state=skewed_clock): repair their GPS, or take it out of use so "
    "that the network server's time counts (packet forwarder: no `gps_tty_path`; Concentratord: no `GNSS` in its "
    "`model_flags`)."
)


def database_unreachable(problem: str) -> list[Finding]:
    """The findings when no connection could be made; `problem` names the database and the reason."""
    reason = "The database was not reached."
    first = Finding.danger("database-reachable", problem, "Start the database, or correct ROADTWIN_DATABASE_URL.")
    return [first] + [Finding.unknown(name, reason, "See database-reachable.") for name in _DEPENDENT]


def check_database(probe: DatabaseProbe, *, name: str, embedded: bool) -> list[Finding]:
    """Judge all that was seen of a database; `name` is for people, `embedded` whether it is our own server."""
    return [
        Finding.ok("database-reachable", f"{name} answers."),
        *_versions(probe),
        _schema(probe),
        _synchronous_commit(probe),
        _must_be_on(probe, "fsync", "fsync"),
        _must_be_on(probe, "full-page-writes", "full_page_writes"),
        _writable(probe),
        _privileges(probe),
        _superuser(probe, embedded=embedded),
        _connections(probe),
        _disk(probe, embedded=embedded),
        _idle(probe),
        _database_clock(probe),
        _network_clock(probe),
        _decompression(probe),
        _direct_compress(probe),
        _rejected(probe),
        _silent(probe),
        _device_times(probe),
    ]


def _not_checked(check_id: str, probe: DatabaseProbe, *questions: str) -> Finding:
    if probe.schema_problem is not None and _ASKED_OF_TABLES.issuperset(questions):
        return Finding.unknown(check_id, "The schema is not that of this Roadtwin.", "See schema-version.")
    reasons = [probe.not_checked[question] for question in questions if question in probe.not_checked]
    return Finding.unknown(
        check_id, f"The database did not answer: {'; '.join(reasons) or 'nothing'}.", "Ask as a role that may."
    )


def _versions(probe: DatabaseProbe) -> list[Finding]:
    if probe.server is None or probe.mode is None:
        names = ("database-mode", "postgresql-version", "timescaledb-version")
        return [_not_checked(name, probe, "mode", "read_server") for name in names]
    postgresql: Version = parse_version(probe.server["version"]) or (int(probe.server["version"].split()[0]),)
    return [
        Finding.ok("database-mode", f"{probe.mode}."),
        check_postgresql_version(postgresql),
        check_timescaledb_version(probe.server["timescaledb"], probe.mode, postgresql),
    ]


def _schema(probe: DatabaseProbe) -> Finding:
    if "schema" in probe.not_checked:
        return _not_checked("schema-version", probe, "schema")
    if probe.schema_problem is not None:
        return Finding.danger("schema-version", probe.schema_problem, "Run `roadtwin migrate` of the newest version.")
    return Finding.ok("schema-version", f"Version {probe.schema_version}, that of this Roadtwin.")


def _synchronous_commit(probe: DatabaseProbe) -> Finding:
    if probe.server is None or probe.settings is None:
        return _not_checked("synchronous-commit", probe, "read_server", "read_settings")
    ours, default = probe.server["session_synchronous_commit"], probe.settings.get("synchronous_commit", "on")
    fix = (
        "ALTER DATABASE … RESET synchronous_commit (or ALTER ROLE …, or `synchronous_commit = on` in postgresql.conf)."
    )
    if ours == "off":
        return Finding.danger(
            "synchronous-commit",
            f"off in our own session, although we set it to on (default: {default}).",
            "Let no connection pooler undo SET: pool sessions, not transactions.",
        )
    if default == "off":
        return Finding.warning(
            "synchronous-commit",
            f"{ours} in our own sessions, which set it themselves; off by default for everybody else here.",
            fix,
        )
    return Finding.ok("synchronous-commit", f"{ours} in our sessions, {default} by default.")


def _must_be_on(probe: DatabaseProbe, check_id: str, setting: str) -> Finding:
    if probe.settings is None or setting not in probe.settings:
        return _not_checked(check_id, probe, "read_settings")
    if probe.settings[setting] != "on":
        return Finding.danger(
            check_id, f"{setting} = {probe.settings[setting]}.", f"`{setting} = on` in postgresql.conf; reload."
        )
    return Finding.ok(check_id, f"{setting} = on.")


def _writable(probe: DatabaseProbe) -> Finding:
    if probe.server is None or probe.settings is None:
        return _not_checked("database-writable", probe, "read_server", "read_settings")
    if probe.server["in_recovery"]:
        return Finding.danger(
            "database-writable",
            "The server is a standby (pg_is_in_recovery).",
            "Name the primary in ROADTWIN_DATABASE_URL, or all hosts with target_session_attrs=read-write.",
        )
    if probe.settings.get("default_transaction_read_only") == "on":
        return Finding.danger(
            "database-writable",
            "default_transaction_read_only = on.",
            "ALTER DATABASE … RESET default_transaction_read_only (or ALTER ROLE …).",
        )
    return Finding.ok("database-writable", "A primary that takes writes.")


def _privileges(probe: DatabaseProbe) -> Finding:
    if probe.role is None or probe.missing_privileges is None:
        return _not_checked("write-privileges", probe, "read_role", "read_missing_privileges")
    name, missing = probe.role["name"], list(probe.missing_privileges)
    if not probe.role["may_create_temp_tables"]:
        missing.append("the database: TEMPORARY")
    if missing:
        return Finding.danger(
            "write-privileges",
            f"The role {name} lacks {', '.join(missing)}.",
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {name}; "
            f"GRANT TEMPORARY ON DATABASE … TO {name}.",
        )
    if probe.schema_problem is not None:
        return Finding.unknown("write-privileges", "The tables are not all there.", "See schema-version.")
    return Finding.ok("write-privileges", f"The role {name} may write all that the ingester writes.")


def _superuser(probe: DatabaseProbe, *, embedded: bool) -> Finding:
    if probe.role is None:
        return _not_checked("database-superuser", probe, "read_role")
    if not probe.role["superuser"]:
        return Finding.ok("database-superuser", f"The role {probe.role['name']} is no superuser.")
    if embedded:
        return Finding.ok("database-superuser", "A superuser, of an embedded server that listens on no network.")
    return Finding.warning(
        "database-superuser",
        f"The role {probe.role['name']} is a superuser.",
        "CREATE ROLE roadtwin LOGIN PASSWORD …; let it own the database, and use it in ROADTWIN_DATABASE_URL.",
    )


def _connections(probe: DatabaseProbe) -> Finding:
    settings = probe.settings
    if settings is None or probe.connections_used is None:
        return _not_checked("connections-left", probe, "read_settings", "read_connections")
    reserved = int(settings.get("superuser_reserved_connections", 0)) + int(settings.get("reserved_connections", 0))
    most = int(settings["max_connections"])
    left = most - reserved - probe.connections_used
    measured = f"{left} of {most} connections are left ({reserved} reserved)."
    if left < CONNECTIONS_LEAST:
        return Finding.warning(
            "connections-left", measured, "Raise max_connections (needs a restart), or end idle sessions of others."
        )
    return Finding.ok("connections-left", measured)


def _disk(probe: DatabaseProbe, *, embedded: bool) -> Finding:
    if probe.size_bytes is None:
        return _not_checked("database-disk", probe, "read_size")
    size = f"The database has {probe.size_bytes / 1e6:.0f} MB"
    if embedded:
        return Finding.ok("database-disk", f"{size}, in our own data directory (see journal-directory for its disk).")
    return Finding.unknown(
        "database-disk",
        f"{size}; how much room its disk has cannot be asked in SQL.",
        "Watch the disk of the database and of its WAL on its machine; alarm at 80 %.",
    )


def _idle(probe: DatabaseProbe) -> Finding:
    if probe.idle_sessions is None:
        return _not_checked("idle-in-transaction", probe, "read_idle_in_transaction")
    if probe.idle_sessions:
        return Finding.warning(
            "idle-in-transaction",
            f"{probe.idle_sessions} sessions of ours with an open transaction and nothing to do, the oldest for "
            f"{probe.idle_longest_s:.0f} s.",
            "End the process that holds it; `idle_in_transaction_session_timeout = '5min'` ends it by itself.",
        )
    return Finding.ok(
        "idle-in-transaction", f"No session of ours is idle in a transaction for over {IDLE_AFTER_S:g} s."
    )


def _database_clock(probe: DatabaseProbe) -> Finding:
    if probe.clock_offset_s is None:
        return _not_checked("database-clock", probe, "read_clock")
    measured = f"{probe.clock_offset_s:+.3f} s from ours (± {probe.clock_uncertainty_s:.3f} s)."
    if abs(probe.clock_offset_s) > CLOCK_TOLERANCE_S + probe.clock_uncertainty_s:
        return Finding.warning("database-clock", measured, "Synchronise both machines (chrony, systemd-timesyncd).")
    return Finding.ok("database-clock", measured)


def _network_clock(probe: DatabaseProbe) -> Finding:
    delay = probe.delay
    if delay is None:
        return _not_checked("network-clock", probe, "read_network_delay")
    if delay.least_s is None or delay.median_s is None:
        return Finding.unknown(
            "network-clock",
            "No message of the last 24 hours carries its network server's own time.",
            "Nothing to do; it is checked as soon as one does.",
        )
    measured = (
        f"The newest {delay.messages} messages came {delay.median_s:.1f} s (median) after their network server's time, "
        f"{delay.least_s:.1f} s at least."
    )
    if delay.least_s < -CLOCK_TOLERANCE_S:
        return Finding.warning(
            "network-clock", measured, "Our clock is behind the network server's: synchronise both (see system-clock)."
        )
    if delay.median_s > DELAY_TOLERANCE_S:
        return Finding.warning(
            "network-clock",
            measured,
            "Our clock is ahead (see system-clock), or messages wait: look at the broker's queue and the ingester.",
        )
    return Finding.ok("network-clock", measured)


def _decompression(probe: DatabaseProbe) -> Finding:
    if probe.mode is None or probe.settings is None:
        return _not_checked("decompression-limit", probe, "mode", "read_settings")
    if probe.mode is not DatabaseMode.COMMUNITY:
        return Finding.ok("decompression-limit", "Nothing is compressed in this mode.")
    name = "timescaledb.max_tuples_decompressed_per_dml_transaction"
    text = probe.settings.get(name)
    if text is None:
        return Finding.unknown("decompression-limit", f"{name} is not told.", f"SHOW {name}.")
    if 0 < int(text) < DECOMPRESSION_LEAST:
        return Finding.warning(
            "decompression-limit",
            f"{name} = {text}.",
            f"ALTER DATABASE … SET {name} = {DECOMPRESSION_LEAST}.",
        )
    return Finding.ok("decompression-limit", f"{name} = {text}{'' if int(text) else ': no limit'}.")


def _direct_compress(probe: DatabaseProbe) -> Finding:
    if probe.settings is None:
        return _not_checked("direct-compress", probe, "read_settings")
    on = [name for name, value in probe.settings.items() if "direct_compress" in name and value == "on"]
    if on:
        return Finding.danger(
            "direct-compress",
            f"{' and '.join(on)} = on.",
            "; ".join(f"ALTER DATABASE … SET {name} = off" for name in on) + ".",
        )
    return Finding.ok("direct-compress", "Off, or not known to this server.")


def _rejected(probe: DatabaseProbe) -> Finding:
    if probe.received is None:
        return _not_checked("rejected-share", probe, "read_accounts")
    if probe.received == 0:
        return Finding.unknown("rejected-share", "No message was received in the last 24 hours.", "Is one expected?")
    share = probe.rejected / probe.received
    measured = f"{probe.rejected} of {probe.received} messages rejected in the last 24 hours ({share:.1%})"
    if probe.rejection_codes:
        codes = ", ".join(f"{code}: {number}" for code, number in probe.rejection_codes.items())
        measured += f"; distinct ones by code: {codes}"
    if share > REJECTED_SHARE_MOST:
        return Finding.warning(
            "rejected-share",
            f"{measured}.",
            "Read the reasons at /v1/rejected (table rejected_message), and correct the source or its profile.",
        )
    return Finding.ok("rejected-share", f"{measured}.")


def _silent(probe: DatabaseProbe) -> Finding:
    fix = "Look at them: /v1/devices?state=silent."
    if probe.silent is None and (probe.health_kept or probe.schema_problem is not None):
        return _not_checked("silent-devices", probe, "read_silent_devices")
    if probe.silent is None:
        return Finding.unknown("silent-devices", "This database keeps no health of devices.", fix)
    if probe.silent.judged == 0:
        return Finding.unknown(
            "silent-devices", "Of no confirmed device it is known yet how often it sends.", "Ask again in a day."
        )
    measured = f"{probe.silent.silent} of {probe.silent.judged} confirmed devices are silent"
    if probe.silent.silent:
        return Finding.warning("silent-devices", f"{measured}, by how often they used to send.", fix)
    return Finding.ok("silent-devices", f"{measured}.")


def _device_times(probe: DatabaseProbe) -> Finding:
    times = probe.device_times
    if times is None:
        return _not_checked("device-times", probe, "read_device_times")
    if times.devices == 0:
        return Finding.unknown(
            "device-times",
            "No confirmed device gave a value in the last 24 hours.",
            "Is one expected? See silent-devices.",
        )
    measured = (
        f"{times.untimed} of {times.devices} confirmed devices that gave values in the last 24 hours gave most of them "
        "without a trusted time (flags CLOCK, SKEW)"
    )
    if times.untimed == 0:
        return Finding.ok("device-times", f"{measured}.")
    more = times.untimed - len(times.names)
    named = ", ".join(times.names) + (f" and {more} more" if more else "")
    return Finding.warning("device-times", f"{measured}: {named}.", " ".join(_time_fixes(times)))


def _time_fixes(times: DeviceTimes) -> list[str]:
    fixes = [_TIME_FIXES.get(source, _OTHER_TIME_FIX.format(source)) for source in times.timeless_sources]
    return [*fixes, _GPS_FIX] if times.wrong_clocks else fixes
