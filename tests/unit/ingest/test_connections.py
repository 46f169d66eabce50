import socket
import threading

import psycopg
import pytest

from ingest.mqtt import Session, open_client, parse_mqtt_url
from ingest.store import is_transient
from roadtwin.errors import BrokerRefusedError, DatabaseUnavailableError, SettingsError


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


def test_mqtt_5_is_tried_first_and_3_1_1_only_where_the_broker_takes_no_other():
    levels: list[int] = []

    def refuse_twice() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection:
                levels.append(connection.recv(1000)[8])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse_twice)
        thread.start()
        with pytest.raises(BrokerRefusedError, match=r"speaks neither MQTT 5 nor 3\.1\.1 with us"):
            open_client(
                parse_mqtt_url(f"mqtt://127.0.0.1:{listener.getsockname()[1]}"), Session("old"), lambda client: None
            )
        thread.join()

    assert levels == [5, 4]
