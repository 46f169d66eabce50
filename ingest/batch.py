"""A batch: decode it, and write it whatever one of its rows is like. Who acknowledges, does so only afterwards."""

import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import psycopg

from ingest.received import Received
from ingest.rejected import reject
from roadtwin.errors import MessageRejectedError
from roadtwin.telemetry import MESSAGES, OBSERVATIONS, REJECTED, get_logger
from roadtwin.types import BatchCounts, Message, RejectedMessage

log = get_logger(__name__)

POISON = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ConfigurationLimitExceeded,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InternalError_,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    UnicodeError,
    OverflowError,
    RecursionError,
    struct.error,
)
"""What one row that the database cannot hold raises: SQLSTATE classes 22 and 23, or its client-side equal; 54000 and
54001, such as a device id that no index can hold and JSON nested too deeply; and 53400, which TimescaleDB raises when a
batch touches too much compressed data: halves of it may pass. 0A000 and XX000 are what an extension answers to a row
that it cannot take into a compressed chunk; a database that answers so to everything does not take the rejection
either, and the ingester ends."""

# A mistake in a decoder must cost one message, not the stream.
_DECODER_MISTAKES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Decode(Protocol):
    """What a batch needs of the decoder."""

    def decode(
        self, topic: str, payload: bytes, recorded_at: datetime, *, retained: bool = False, duplicate: bool = False
    ) -> Message:
        """The envelope; raises MessageRejectedError."""
        ...

    def rejected(self, topic: str, payload: bytes, recorded_at: datetime, code: str, reason: str) -> RejectedMessage:
        """What is kept of a message that cannot be decoded."""
        ...


Store = Callable[[Sequence[Message], Sequence[RejectedMessage]], BatchCounts]
"""Writes one transaction and returns after its COMMIT."""


def decode_batch(received: Sequence[Received], decoder: Decode) -> tuple[list[Message], list[RejectedMessage]]:
    """Decode each message or say why not."""
    messages: list[Message] = []
    rejected: list[RejectedMessage] = []
    for item in received:
        try:
            messages.append(
                decoder.decode(
                    item.topic, item.payload, item.recorded_at, retained=item.retained, duplicate=item.duplicate
                )
            )
        except MessageRejectedError as exc:
            rejected.append(decoder.rejected(item.topic, item.payload, item.recorded_at, exc.code, str(exc)))
        except _DECODER_MISTAKES as exc:
            log.exception("message rejected by a mistake in its decoder", action="decoder_error")
            reason = f"The decoder failed on this message: {type(exc).__name__}: {exc}."
            rejected.append(decoder.rejected(item.topic, item.payload, item.recorded_at, "decoder_error", reason))
    return messages, rejected


def write_isolating(messages: Sequence[Message], rejected: Sequence[RejectedMessage], store: Store) -> BatchCounts:
    """Write a batch; if the database cannot hold a row, find that row by halving and keep it as rejected.

    Whatever is not the fault of a row (no connection, disk full, …) passes through.
    """
    try:
        counts = store(messages, rejected)
    except POISON as exc:
        if not messages:
            raise
        log.warning("a row cannot be stored", action="poison_row", messages=len(messages), error=type(exc).__name__)
        if len(messages) == 1:
            counts = store([], [*rejected, _as_rejected(messages[0], exc)])
            _count(messages, rejected, counts)
            return counts
        half = len(messages) // 2
        return write_isolating(messages[:half], rejected, store) + write_isolating(messages[half:], [], store)
    _count(messages, rejected, counts)
    return counts


def _as_rejected(message: Message, exc: Exception) -> RejectedMessage:
    """Topic and payload of an envelope hold no vehicle id any more."""
    state = exc.sqlstate if isinstance(exc, psycopg.Error) and exc.sqlstate else type(exc).__name__
    first_line = (str(exc).splitlines() or [""])[0]
    reason = f"The database cannot hold this message: {state}: {first_line}."
    return reject(
        message.topic,
        message.payload,
        message.recorded_at,
        f"sqlstate_{state}" if isinstance(exc, psycopg.Error) else f"unstorable_{state}",
        reason,
    )


def _count(messages: Sequence[Message], rejected: Sequence[RejectedMessage], counts: BatchCounts) -> None:
    # A transaction gives its counts, not which message was the duplicate: one format a batch tells them apart.
    formats = {message.format for message in messages}
    name = formats.pop() if len(formats) == 1 else "mixed"
    MESSAGES.labels("stored", name).inc(counts.stored)
    MESSAGES.labels("duplicate", name).inc(counts.duplicate)
    MESSAGES.labels("rejected", "none").inc(counts.rejected)
    OBSERVATIONS.labels("stored").inc(counts.observations_stored)
    OBSERVATIONS.labels("duplicate").inc(counts.observations_duplicate)
    OBSERVATIONS.labels("conflict").inc(counts.observation_conflicts)
    for item in rejected:
        REJECTED.labels(item.code).inc()
