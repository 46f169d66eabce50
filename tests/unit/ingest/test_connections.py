import psycopg
import pytest

from ingest.mqtt import parse_mqtt_url
from ingest.store import is_transient
from roadtwin.errors import DatabaseUnavailableError, SettingsError


@pytest.mark.parametrize(
    "exc",
    [
        DatabaseUnavailableError(),
        psycopg.OperationalError("connection refused"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.DiskFull(),
        psycopg.errors.TooManyConnections(),
        psycopg.errors.ReadOnlySqlTransaction(),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.QueryCanceled(),
    ],
)
def test_what_waiting_may_mend_is_waited_for(exc):
    assert is_transient(exc)


@pytest.mark.parametrize(
    "exc",
    [
        psycopg.errors.NumericValueOutOfRange(),
        psycopg.errors.UniqueViolation(),
        psycopg.errors.UndefinedTable(),
        psycopg.errors.ConfigurationLimitExceeded(),
        ValueError(),
    ],
)
def test_what_waiting_does_not_mend_is_not(exc):
    assert not is_transient(exc)


def test_an_address_is_read_with_its_defaults_and_shown_without_its_password():
    address = parse_mqtt_url("mqtts://us%40er:se%2Fcret@broker.example")

    assert (address.host, address.port, address.tls) == ("broker.example", 8883, True)
    assert (address.username, address.password) == ("us@er", "se/cret")
    assert str(address) == "broker.example:8883"


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://x:port", "mqtt://x:99999", "mqtt://x:0"])
def test_a_wrong_address_is_refused_without_being_repeated(url):
    with pytest.raises(SettingsError, match="expected mqtt://") as caught:
        parse_mqtt_url(url)

    assert "99999" not in str(caught.value)
