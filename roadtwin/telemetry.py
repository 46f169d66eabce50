"""Log set-up and every metric name. Logs are events with ids; numbers go to metrics, never with an id as a label."""

import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from roadtwin.settings import Settings

MESSAGES = Counter("roadtwin_messages", "Messages by outcome: stored, duplicate or rejected.", ["outcome", "format"])
OBSERVATIONS = Counter("roadtwin_observations", "Observations by outcome: stored, duplicate or conflict.", ["outcome"])
REJECTED = Counter("roadtwin_rejected_messages", "Rejected messages by reason code.", ["code"])
BATCH_SECONDS = Histogram("roadtwin_batch_seconds", "Time from the first message of a batch to its COMMIT [s].")
QUEUE_MESSAGES = Gauge("roadtwin_ingest_queue_messages", "Messages received and not yet committed.")
CONNECTED = Gauge("roadtwin_mqtt_connected", "1 while connected to the broker.")
CONNECTIONS = Counter(
    "roadtwin_mqtt_connections", "Connections made, by whether the broker still had our session.", ["session"]
)
STALE_ACKS = Counter("roadtwin_mqtt_stale_acks", "Acknowledgements dropped because their connection was gone.")
QOS0_MESSAGES = Counter("roadtwin_mqtt_qos0_messages", "Messages published at QoS 0: their source can lose data.")
STORE_RETRIES = Counter("roadtwin_store_retries", "Batches written again after the database failed.")
HTTP_REQUESTS = Counter("roadtwin_http_requests", "HTTP requests by route and status class.", ["route", "status"])
HTTP_SECONDS = Histogram("roadtwin_http_seconds", "Time to answer an HTTP request [s].", ["route"])


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
        cache_logger_on_first_use=True,
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
