"""Log set-up and every metric name. Logs are events with ids; numbers go to metrics, never with an id as a label."""

import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from roadtwin.settings import Settings

MESSAGES = Counter("roadtwin_messages", "Messages by outcome: stored, duplicate or rejected.", ["outcome", "format"])
RECEIVED = Counter(
    "roadtwin_ingest_received_messages",
    "Messages received from the broker, those that it sent again included, and uplinks fetched because it missed them.",
)
OBSERVATIONS = Counter("roadtwin_observations", "Observations by outcome: stored, duplicate or conflict.", ["outcome"])
REJECTED = Counter("roadtwin_rejected_messages", "Rejected messages by reason code.", ["code"])
BATCH_SECONDS = Histogram("roadtwin_batch_seconds", "Time from the first message of a batch to its COMMIT [s].")
QUEUE_MESSAGES = Gauge("roadtwin_ingest_queue_messages", "Messages received and not yet committed.")
IN_PROCESS_MESSAGES = Gauge(
    "roadtwin_ingest_in_process_messages",
    "Messages received and neither committed nor in the journal.",
)
HOUSEKEEPING_FAILURES = Counter(
    "roadtwin_housekeeping_failures", "Tasks beside the stream that failed and are tried again.", ["task"]
)
BACKFILLED = Counter(
    "roadtwin_backfill_messages",
    "Uplinks fetched from a storage integration by outcome: stored, duplicate or rejected.",
    ["outcome"],
)
BACKFILL_FAILURES = Counter("roadtwin_backfill_failures", "Fetches of stored uplinks that failed and are tried again.")
UNDIGESTED_BATCHES = Gauge(
    "roadtwin_ingest_undigested_batches", "Batches whose device health and flags that need history are not worked out."
)
CONNECTED = Gauge("roadtwin_mqtt_connected", "1 while connected to the broker.")
CONNECTIONS = Counter(
    "roadtwin_mqtt_connections", "Connections made, by whether the broker still had our session.", ["session"]
)
PROFILE_READS = Counter(
    "roadtwin_profile_reads",
    "Times the folder of sensor profiles was read again, by outcome: loaded or invalid.",
    ["outcome"],
)
STALE_ACKS = Counter("roadtwin_mqtt_stale_acks", "Acknowledgements dropped because their connection was gone.")
TAKEOVERS = Counter("roadtwin_mqtt_takeovers", "Times that another client with our client id took our session.")
QOS0_MESSAGES = Counter("roadtwin_mqtt_qos0_messages", "Messages published at QoS 0: their source can lose data.")
STORE_RETRIES = Counter("roadtwin_store_retries", "Batches written again after the database failed.")
JOURNAL_MESSAGES = Gauge("roadtwin_journal_messages", "Messages that wait in the ingester's journal for the database.")
JOURNAL_BYTES = Gauge("roadtwin_journal_bytes", "Bytes of the journal's files, which its bound is about.")
JOURNAL_OLDEST_AGE_SECONDS = Gauge(
    "roadtwin_journal_oldest_age_seconds", "Age of the oldest message in the journal; 0 when it is empty [s]."
)
JOURNAL_APPENDED = Counter("roadtwin_journal_appended", "Messages written to the journal.")
JOURNAL_DRAINED = Counter("roadtwin_journal_drained", "Messages of the journal that the database has now.")
JOURNAL_TORN_BYTES = Counter("roadtwin_journal_torn_bytes", "Bytes cut off the journal's end after a crash in a write.")
JOURNAL_DAMAGED_BYTES = Counter("roadtwin_journal_damaged_bytes", "Bytes of the journal set aside as damaged.")
JOURNAL_LOST = Counter("roadtwin_journal_lost", "Messages known to have been in damaged bytes of the journal.")
ABSENT_WORKERS = Gauge(
    "roadtwin_ingest_absent_workers",
    "Other workers of our group that are gone while the broker keeps messages for them.",
)
RUNNING_WORKERS = Gauge("roadtwin_ingest_running_workers", "Worker processes that run under this supervisor.")
WORKER_RESTARTS = Counter("roadtwin_ingest_worker_restarts", "Worker processes that ended by themselves.")
HTTP_REQUESTS = Counter("roadtwin_http_requests", "HTTP requests by route and status class.", ["route", "status"])
HTTP_SECONDS = Histogram("roadtwin_http_seconds", "Time to answer an HTTP request [s].", ["route"])
SCORES_AGE_SECONDS = Gauge("roadtwin_scores_age_seconds", "Age of the newest scores; NaN: none, or not known [s].")
MODEL_AGE_SECONDS = Gauge("roadtwin_model_age_seconds", "Time since the model in use was trained; NaN as above [s].")
MODEL_ALARMS = Gauge("roadtwin_model_alarms", "Alarms of the newest monitoring of the model, by name.", ["alarm"])
MODEL_PREDICTED_OVER_OBSERVED = Gauge(
    "roadtwin_model_predicted_over_observed", "Predicted over observed new potholes of settled scores.", ["horizon"]
)
MODEL_BRIER_SKILL = Gauge(
    "roadtwin_model_brier_skill", "Brier skill of settled scores against the climatology of training.", ["horizon"]
)
MODEL_DRIFT = Gauge("roadtwin_model_feature_drift", "Largest population stability index of a feature.")
MODEL_UNKNOWN_FEATURES = Gauge("roadtwin_model_unknown_features", "Features that are unknown for every segment.")


def configure_logging(settings: Settings) -> None:
    """Send our logs and those of libraries through one formatter to stderr."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback  # a rich one shows local variables: payloads, passwords
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # logging may be configured after the first line
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ]
            if as_json
            else [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it as `log.info("uplink rejected", action="uplink_rejected", code=…)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
