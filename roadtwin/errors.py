"""Every deliberate error. The docstring of a class is its default message."""


class RoadtwinError(Exception):
    """Something that Roadtwin checks for went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class SettingsError(RoadtwinError):
    """A setting is missing or wrong."""


class InputFileError(RoadtwinError):
    """A file given as input cannot be used."""


class DegenerateLineError(InputFileError):
    """A line has no length, fewer than two points or a coordinate that is not a number."""


class UnsupportedCrsError(InputFileError):
    """The coordinate reference system of the input is not known or not supported."""


class DatabaseUnavailableError(RoadtwinError):
    """The database cannot be reached."""


class BrokerUnavailableError(RoadtwinError):
    """The MQTT broker cannot be reached."""


class BrokerRefusedError(RoadtwinError):
    """The MQTT broker refused the connection or granted less than QoS 1."""


class ReceiverStoppedError(RoadtwinError):
    """The thread that receives from the MQTT broker has ended, which it never should."""


class MigrationError(RoadtwinError):
    """The database schema does not fit this version of Roadtwin."""


class MessageRejectedError(RoadtwinError):
    """A message cannot be decoded; it is kept with its reason.

    `code` is a short stable word for metrics and for grouping, the message says what was got and expected.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RecordRejectedError(RoadtwinError):
    """A record (repair, inspection, report, weather, …) is not valid."""


class NaiveTimeError(RecordRejectedError):
    """A record has a time without an offset, and nobody knows of which zone."""


class SegmentNotFoundError(RoadtwinError):
    """There is no road segment with this id."""


class ModelNotTrainedError(RoadtwinError):
    """No trained model is stored yet; run `roadtwin train`."""


class ModelVersionError(RoadtwinError):
    """The stored model was made by other library versions or for another feature set."""


class ModelRunNotFoundError(RoadtwinError):
    """There is no trained model with this number."""


class ModelPromotionError(RoadtwinError):
    """This model cannot be brought into use."""


class ScoreNotFoundError(RoadtwinError):
    """There is no score of this segment as of this time."""


class ScoreRequestNotFoundError(RoadtwinError):
    """Nobody asked for scores with this number."""


class NotMonitoredError(RoadtwinError):
    """The model was not monitored yet: `roadtwin score --watch` does it once a day, `roadtwin model monitor` now."""


class NotEnoughHistoryError(RoadtwinError):
    """There is too little recorded history to train or to evaluate on."""


class NotAuthorisedError(RoadtwinError):
    """The API key is missing, unknown or lacks the role."""


class VerificationError(RoadtwinError):
    """The accounts do not balance: a message was lost, stored twice or altered."""


class DoctorError(RoadtwinError):
    """Something is set up so that it can lose data."""


class ReplayError(RoadtwinError):
    """Replayed messages were not committed in time."""


class RecordingError(RoadtwinError):
    """A recording cannot be written or read."""


class DemoError(RoadtwinError):
    """The demonstration could not be brought up."""


class ApiKeyRequiredError(NotAuthorisedError):
    """An API key is needed (`Authorization: Bearer …` or `X-API-Key`); the one given is missing or unknown."""


class RoleRequiredError(NotAuthorisedError):
    """The API key is known, but its role may not do this."""


class RequestInvalidError(RoadtwinError):
    """The request is not valid."""


class PageTokenError(RequestInvalidError):
    """The page token is not one of ours or belongs to another query; ask again without it."""


class UnknownParameterError(RequestInvalidError):
    """The query has a parameter that this address does not know."""


class UnsupportedMediaTypeError(RoadtwinError):
    """The body must be JSON (Content-Type: application/json)."""


class RequestTooLargeError(RoadtwinError):
    """The request is larger than this service accepts."""


class RecordConflictError(RoadtwinError):
    """There is another record with this id and other content; corrections need an id of their own."""


class CityNotLoadedError(RoadtwinError):
    """No city is stored yet; run `roadtwin demo` or `roadtwin import network`."""


class DeviceNotFoundError(RoadtwinError):
    """There is no device with this id."""


class ServeError(RoadtwinError):
    """The service cannot be started as asked."""


class SimulationError(RoadtwinError):
    """The simulation cannot be made or published as asked."""


class ApiKeyError(RoadtwinError):
    """The API key cannot be made or revoked."""


class ReprocessError(RoadtwinError):
    """Kept messages cannot be reprocessed as asked."""


class BackfillError(RoadtwinError):
    """Stored uplinks cannot be fetched as asked."""


class StorageApiError(BackfillError):
    """The Things Stack does not give the stored uplinks; another try alone will not change that."""


class StorageApiAwayError(StorageApiError):
    """The Things Stack cannot give the stored uplinks now; `retry_after_s` is how long it asks to be left alone [s]."""

    def __init__(self, message: str | None = None, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CodecError(RoadtwinError):
    """The payload of a device does not follow the layout of its codec."""


class JournalError(RoadtwinError):
    """The ingester's journal cannot be read or written."""


class JournalFullError(JournalError):
    """The journal is full: messages stay with the broker until the database is back."""


class JournalLockedError(JournalError):
    """Another process has this journal; each ingester needs a client id of its own."""


class WorkerRefusedError(RoadtwinError):
    """A worker process of the ingester refused to run, or ended again and again."""


class WorkerAliveError(RoadtwinError):
    """A worker that is to be retired still runs."""


class WorkerNotRetiredError(RoadtwinError):
    """A worker could not be retired; nothing is lost, do it again."""


class MetricsPortError(RoadtwinError):
    """The port of the metrics is not free."""
