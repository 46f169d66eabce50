"""Every setting, in one class. Built once by the command line and passed down; nothing else reads the environment."""

import os
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from roadtwin.errors import SettingsError


def default_data_dir() -> Path:
    """Where embedded parts keep their data: the user's data directory, /var/lib/roadtwin for root."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/roadtwin")  # a server process must be able to enter it; /root is closed to it
    if os.uname().sysname == "Darwin":
        return Path.home() / "Library" / "Application Support" / "roadtwin"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "roadtwin"


class Settings(BaseSettings):
    """Settings of all parts. Each is read from the environment variable `ROADTWIN_<NAME>` or from a file
    `roadtwin_<name>` in the directory that `ROADTWIN_SECRETS_DIR` names. Checking them opens nothing."""

    model_config = SettingsConfigDict(env_prefix="ROADTWIN_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL or TimescaleDB address (postgresql://…). Unset: the embedded PostgreSQL.",
    )
    mqtt_url: SecretStr | None = Field(
        None,
        description="MQTT broker address (mqtt://user:password@host:1883 or mqtts://…). Unset: the embedded broker.",
    )
    mqtt_ca_file: Path | None = Field(None, description="CA certificates for mqtts://; unset: the system's.")
    mqtt_client_id: str = Field(
        "roadtwin-ingest",
        min_length=1,
        description="Client id of the persistent session; stable, one per ingester.",
    )
    ingest_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes of `roadtwin ingest`; each of several has its own session, called client id and number.",
    )
    mqtt_session_expiry_s: int = Field(
        14 * 86400, ge=60, description="How long the broker keeps our session while we are away [s]."
    )
    mqtt_receive_maximum: int = Field(
        8000,
        ge=1,
        le=65535,
        description="Most messages in flight without acknowledgement; the queue holds four times as many at most.",
    )
    mqtt_keepalive_s: int = Field(30, ge=5, le=1200, description="MQTT keep-alive [s].")
    mqtt_topics: Annotated[tuple[str, ...], NoDecode] = Field(
        ("application/+/device/+/event/+", "v3/+/devices/+/#", "roadtwin/v1/#"),
        description="Topic filters to subscribe to, separated by commas.",
    )
    tts_url: str = Field(
        "https://eu1.cloud.thethings.network",
        description="Address of The Things Stack, from whose storage integration missed uplinks are fetched.",
    )
    tts_applications: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Applications whose missed uplinks are fetched: application@tenant, separated by commas."
    )
    tts_api_key: SecretStr | None = Field(
        None, description="API key of The Things Stack that may read application traffic of all `tts_applications`."
    )
    max_payload_bytes: int = Field(
        1_048_576,
        ge=1024,
        description="Largest message that is decoded; a larger one is rejected with its first bytes [B].",
    )
    batch_max_messages: int = Field(2000, ge=1, le=10000, description="Messages per transaction, at most.")
    batch_max_wait_ms: int = Field(50, ge=1, le=60000, description="Longest wait for a batch to fill [ms].")
    journal_dir: Path | None = Field(
        None,
        description="Folder of the journals, in it one per client id. Unset: `journal` in the data directory.",
    )
    journal_max_mib: int = Field(
        4096, ge=0, description="Most that a journal may take on disk; 0 turns the journal off [MiB]."
    )
    journal_after_s: float = Field(
        5.0, ge=0, description="How long the database must be away before messages go to the journal [s]."
    )
    device_profiles_dir: Path | None = Field(
        None, description="Folder of additional sensor profiles (TOML); they win over the built-in ones."
    )
    pseudonym_key: SecretStr | None = Field(
        None,
        description="Key of the vehicle pseudonyms. Unset: made once, kept in the data directory for its owner only.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir, description="Where embedded database, keys and logs are kept."
    )
    city_timezone: str = Field(
        "Europe/Berlin",
        description="Time zone of the city: every day (frost day, roll-up, deadline) is its local day.",
    )
    match_max_distance_m: float = Field(
        25.0, gt=0, le=200, description="Farthest a position may lie from a section to be matched to it [m]."
    )
    http_host: str = Field("127.0.0.1", description="Address the service listens on.")
    http_port: int = Field(8000, ge=0, le=65535, description="Port the service listens on; 0 takes a free one.")
    open_read: bool = Field(
        True,
        description="Whether reading needs no key. Writing always needs one. Set to false on an open network.",
    )
    max_request_bytes: int = Field(
        262_144, ge=1024, description="Largest body of an HTTP request; a larger one is answered with 413 [B]."
    )
    crew_capacity: int = Field(
        120, ge=1, description="Potholes the crews can treat a day: default length of the worklist."
    )
    crew_count: int = Field(4, ge=1, le=50, description="Crews that go out a day: default of the worklist's jobs.")
    crew_hours: float = Field(
        7.0, gt=0, le=24, description="Hours a crew works and drives a day: default of the worklist's jobs [h]."
    )
    random_inspection_share: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="Share of the inspections drawn by lot, not by risk, so that the model stays honest; 0: none.",
    )
    score_interval_s: int = Field(
        3600, ge=10, description="How often `roadtwin score --watch` refreshes state and scores [s]."
    )
    score_daily_at: time = Field(
        time(5, 0),
        description="City time at which `roadtwin score --watch` scores each day, whatever the interval, and monitors "
        "the model; a run that was missed is caught up once.",
    )
    retrain_interval_days: int = Field(
        30, ge=0, le=3660, description="How often `roadtwin score --watch` trains a challenger; 0: never [d]."
    )
    retrain_at: time = Field(time(2, 0), description="City time at which a challenger that is due is trained.")
    gate_test_days: int = Field(
        180,
        ge=125,
        le=3660,
        description="Newest part of the records on which champion and challenger are compared [d]; windows of 90 days "
        "need 118 to settle.",
    )
    gate_brier_skill_margin: float = Field(
        0.01, ge=0, le=1, description="How much lower a challenger's Brier skill may be (lower end of the interval)."
    )
    gate_roc_auc_margin: float = Field(
        0.02, ge=0, le=1, description="How much lower a challenger's ROC-AUC may be (lower end of the interval)."
    )
    gate_calibration_ratio: float = Field(
        1.25, gt=1, le=10, description="A challenger's predicted/observed lies between the inverse of this and this."
    )
    monitoring_window_days: int = Field(
        180, ge=7, le=3660, description="How far back settled scores count in monitoring [d]."
    )
    monitoring_calibration_ratio: float = Field(
        1.25, gt=1, le=10, description="Alarm when predicted/observed of settled scores leaves 1/this … this."
    )
    monitoring_min_brier_skill: float = Field(
        0.0, ge=-1, le=1, description="Alarm when the Brier skill of settled scores against climatology is below this."
    )
    monitoring_max_psi: float = Field(
        0.25, gt=0, le=100, description="Alarm when the population stability index of a feature is above this."
    )
    monitoring_max_unknown_features: float = Field(
        0.0, ge=0, le=1, description="Alarm when more than this share of the features is unknown everywhere."
    )
    monitoring_max_outside_pct: float = Field(
        20.0, ge=0, le=100, description="Alarm when more of a feature's values lie outside what training knew [%]."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log lines for people or machines; auto: console on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the ingester's /metrics on 127.0.0.1; unset: none."
    )

    @field_validator("mqtt_topics", "tts_applications", mode="before")
    @classmethod
    def _split_topics(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("city_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError(f"got {value!r}, expected a name of the IANA time zone database") from exc
        return value

    @field_validator("score_daily_at", "retrain_at")
    @classmethod
    def _city_time(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("expected a time of day without zone, such as 05:00: it is the city's")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("expected an address that begins with postgresql://")
        return value

    @field_validator("mqtt_url")
    @classmethod
    def _mqtt_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("mqtt://", "mqtts://")):
            raise ValueError("expected an address that begins with mqtt:// or mqtts://")
        return value

    @field_validator("tts_url")
    @classmethod
    def _secure_address(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not (parts.scheme == "https" or local) or not parts.hostname or parts.username or parts.path.strip("/"):
            raise ValueError("expected https:// and a host without user and path; an API key is sent there")
        return value

    @cached_property
    def timezone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.city_timezone)


def load_settings(**overrides: object) -> Settings:
    """Settings from environment, secret files and `overrides` (options of a command; None means not given).

    Raises SettingsError with one sentence per wrong setting; secrets are never part of it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    secrets_dir = os.environ.get("ROADTWIN_SECRETS_DIR")
    if secrets_dir is not None and not Path(secrets_dir).is_dir():
        raise SettingsError(f"ROADTWIN_SECRETS_DIR: got {secrets_dir!r}, expected a directory.")
    try:
        return Settings(_secrets_dir=secrets_dir, **given)  # type: ignore[arg-type, call-arg]
    except ValidationError as exc:
        sentences = [
            f"ROADTWIN_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}." for e in exc.errors()
        ]
        raise SettingsError(" ".join(sentences)) from None
