"""What `roadtwin doctor` can say: every check by its stable id, and the four outcomes it can have."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """Outcome of a check. UNKNOWN is "could not be checked": it is never counted as OK."""

    DANGER = "danger"  # can lose data
    WARNING = "warning"  # should be better
    UNKNOWN = "unknown"
    OK = "ok"


class Area(StrEnum):
    """Where the setting is."""

    BROKER = "broker"
    DATABASE = "database"
    INGESTER = "ingester"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is about, and why anybody should care."""

    id: str
    area: Area
    why: str


_CHECKS = (
    Check("broker-reachable", Area.BROKER, "Without the broker nothing is received; publishers keep or drop it."),
    Check(
        "broker-protocol",
        Area.BROKER,
        "On MQTT 3.1.1 a client cannot bound what is in flight to it, nor say how long its session is to be kept.",
    ),
    Check("broker-version", Area.BROKER, "Some versions of Mosquitto lose or hold back messages."),
    Check(
        "broker-tls", Area.BROKER, "Without TLS passwords and positions can be read, and messages altered, on the way."
    ),
    Check(
        "anonymous-access", Area.BROKER, "Whoever reaches the broker can publish false readings and read all others."
    ),
    Check(
        "granted-qos", Area.BROKER, "At QoS 0 the broker forgets a message as soon as it has sent it: a crash loses it."
    ),
    Check(
        "session-persistence",
        Area.BROKER,
        "Without a session that is kept, everything published while the ingester is away is lost.",
    ),
    Check("session-expiry", Area.BROKER, "When the session expires, its queue goes with it."),
    Check(
        "queue-limit",
        Area.BROKER,
        "Past its limit the broker drops messages without telling anybody: their publishers have its acknowledgement.",
    ),
    Check(
        "in-flight-limit",
        Area.BROKER,
        "A batch is filled from the messages in flight: with few of them batches are small, throughput falls, and the "
        "queue grows towards its limit.",
    ),
    Check("dropped-messages", Area.BROKER, "The broker's own count of messages that it did not deliver."),
    Check(
        "publisher-qos",
        Area.BROKER,
        "What is published at QoS 0 is lost when its way to the broker or the broker's to us fails, and nobody knows.",
    ),
    Check(
        "retained-messages",
        Area.BROKER,
        "A retained reading comes again with every subscription, and only the last of each topic is kept.",
    ),
    Check("probe-session", Area.BROKER, "A session of the probe that stays at the broker takes room until it expires."),
    Check(
        "broker-persistence",
        Area.BROKER,
        "Without persistence a restart of the broker loses every queue, although it acknowledged every message.",
    ),
    Check("mosquitto-conf", Area.BROKER, "What stands in a file that could not be read is not checked."),
    Check(
        "broker-autosave",
        Area.BROKER,
        "A broker that is killed loses what it acknowledged since it last wrote its queues to the disk.",
    ),
    Check("queue-limit-configured", Area.BROKER, "Past this limit Mosquitto drops messages without telling anybody."),
    Check("queue-bytes-configured", Area.BROKER, "The limit in bytes drops messages as silently as that in messages."),
    Check(
        "in-flight-limit-configured",
        Area.BROKER,
        "It bounds what is in flight to the ingester where MQTT 3.1.1 is spoken.",
    ),
    Check(
        "session-expiry-configured",
        Area.BROKER,
        "Mosquitto takes the shorter of this and what the ingester asks for, without saying so.",
    ),
    Check(
        "queue-qos0-configured",
        Area.BROKER,
        "Messages published at QoS 0 are not queued for a session that is away, unless this is set.",
    ),
    Check(
        "per-listener-settings",
        Area.BROKER,
        "With this setting Mosquitto 2.0.12 to 2.0.22 does not queue messages for a session that is away.",
    ),
    Check("ingester-metrics", Area.INGESTER, "The running ingester knows what only it can see."),
    Check("client-id", Area.INGESTER, "Two clients with one id end each other's connection, over and over."),
    Check(
        "new-sessions", Area.INGESTER, "A new session means that the broker had forgotten ours, and maybe its queue."
    ),
    Check(
        "stale-acknowledgements", Area.INGESTER, "Batches that were written while the connection to the broker broke."
    ),
    Check("store-retries", Area.INGESTER, "Batches that had to be written again: the database failed meanwhile."),
    Check("journal-depth", Area.INGESTER, "What is in the journal is on one disk only until it is in the database."),
    Check("journal-damage", Area.INGESTER, "What was in a damaged part of the journal was acknowledged already."),
    Check("database-reachable", Area.DATABASE, "Without the database nothing is stored: the broker's queue fills."),
    Check(
        "database-mode",
        Area.DATABASE,
        "What the database can do: compression and its policies need the Community edition.",
    ),
    Check("postgresql-version", Area.DATABASE, "Older versions get no corrections any more and are not tested."),
    Check(
        "timescaledb-version",
        Area.DATABASE,
        "Some versions of TimescaleDB lose rows, or raise errors, on our way of writing.",
    ),
    Check("schema-version", Area.DATABASE, "The ingester writes to the schema of its own version only."),
    Check(
        "synchronous-commit",
        Area.DATABASE,
        "A message is acknowledged after COMMIT: when COMMIT does not wait for the disk, a crash loses what was "
        "acknowledged last.",
    ),
    Check("fsync", Area.DATABASE, "Without fsync a crash of the machine can destroy the whole database."),
    Check(
        "full-page-writes", Area.DATABASE, "Without full pages in the log, a page half written at a crash stays broken."
    ),
    Check("database-writable", Area.DATABASE, "A standby or a read-only database takes no messages."),
    Check("write-privileges", Area.DATABASE, "A batch that may not be written is never acknowledged: the queue fills."),
    Check("database-superuser", Area.DATABASE, "A superuser's stolen password is the whole server, not one table."),
    Check("connections-left", Area.DATABASE, "An ingester that gets no connection cannot store."),
    Check("database-disk", Area.DATABASE, "On a full disk nothing is stored: the broker's queue fills."),
    Check("idle-in-transaction", Area.DATABASE, "A transaction left open holds locks and keeps VACUUM from its work."),
    Check("database-clock", Area.DATABASE, "Times of the database and of the ingester are compared with each other."),
    Check("network-clock", Area.DATABASE, "Messages whose time is ahead of ours are flagged; far ahead, not believed."),
    Check(
        "decompression-limit",
        Area.DATABASE,
        "A batch of late data that must open more compressed rows than this fails (SQLSTATE 53400), each time.",
    ),
    Check(
        "direct-compress",
        Area.DATABASE,
        "Direct Compress does not look for duplicates, and lost rows before 2.26 (#9381).",
    ),
    Check("rejected-share", Area.DATABASE, "Rejected messages are kept, but nothing is measured with them."),
    Check("silent-devices", Area.DATABASE, "A device that stopped sending is a gap that no other check can see."),
    Check(
        "device-times",
        Area.DATABASE,
        "Values without a trusted time are kept and shown, but belong to no day: neither state nor model uses them.",
    ),
    Check(
        "journal-directory",
        Area.HOST,
        "A journal that cannot be written to, or fills its disk, cannot bridge an outage.",
    ),
    Check("pseudonym-key", Area.HOST, "Whoever reads the key can tell who drove where."),
    Check(
        "system-clock", Area.HOST, "The time of arrival is this machine's; it dates whatever brings no time of its own."
    ),
    Check("open-files", Area.HOST, "At the limit of open files neither connections nor journal files can be opened."),
)

CATALOGUE: dict[str, Check] = {check.id: check for check in _CHECKS}
"""Every check by its id, in the order of the report. Ids are stable: scripts may rely on them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: what was measured and, unless that is fine, the exact fix.

    Raises KeyError for an id that is not in the catalogue.
    """

    id: str
    severity: Severity
    measured: str
    fix: str = ""

    def __post_init__(self) -> None:
        CATALOGUE[self.id]

    @property
    def area(self) -> Area:
        """Where the setting is."""
        return CATALOGUE[self.id].area

    @property
    def why(self) -> str:
        """The consequence, in one sentence."""
        return CATALOGUE[self.id].why

    @classmethod
    def ok(cls, check_id: str, measured: str) -> Self:
        """Checked, and fine."""
        return cls(check_id, Severity.OK, measured)

    @classmethod
    def warning(cls, check_id: str, measured: str, fix: str) -> Self:
        """Checked, and better otherwise."""
        return cls(check_id, Severity.WARNING, measured, fix)

    @classmethod
    def danger(cls, check_id: str, measured: str, fix: str) -> Self:
        """Checked: this can lose data."""
        return cls(check_id, Severity.DANGER, measured, fix)

    @classmethod
    def unknown(cls, check_id: str, measured: str, fix: str) -> Self:
        """Could not be checked; `measured` says why not, `fix` how it can be."""
        return cls(check_id, Severity.UNKNOWN, measured, fix)


_ORDER = {severity: number for number, severity in enumerate(Severity)}
_PLACE = {check_id: number for number, check_id in enumerate(CATALOGUE)}


def by_severity(findings: list[Finding]) -> list[Finding]:
    """The worst first; equals in the order of the catalogue."""
    return sorted(findings, key=lambda finding: (_ORDER[finding.severity], _PLACE[finding.id]))


def failed(findings: list[Finding], *, strict: bool = False) -> list[str]:
    """Ids of the findings that fail the command: dangers, and warnings too when `strict`."""
    failing = {Severity.DANGER, Severity.WARNING} if strict else {Severity.DANGER}
    return [finding.id for finding in by_severity(findings) if finding.severity in failing]
