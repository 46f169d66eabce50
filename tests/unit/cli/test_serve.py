import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from roadtwin.cli.serve import check_database, check_exposure, listen
from roadtwin.errors import MigrationError, ServeError
from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import migrate


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_open_reading_is_fine_on_this_machine(host):
    check_exposure(host, open_read=True, allowed=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "roads.example"])
def test_open_reading_on_a_network_is_refused_with_both_remedies(host):
    with pytest.raises(ServeError, match=r"ROADTWIN_OPEN_READ=false.*--allow-open-read"):
        check_exposure(host, open_read=True, allowed=False)


@pytest.mark.parametrize(("open_read", "allowed"), [(False, False), (True, True)])
def test_a_network_is_served_with_keys_or_when_told(open_read, allowed):
    check_exposure("0.0.0.0", open_read=open_read, allowed=allowed)


def test_a_port_that_is_taken_is_said_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServeError, match=f"Cannot listen on 127.0.0.1:{port}: address already in use"):
            listen("127.0.0.1", port)


def test_port_zero_takes_a_free_one():
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_database_that_is_away_does_not_stop_the_service_from_starting():
    check_database("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")


def test_a_database_without_our_schema_does(empty_database_url):
    with pytest.raises(MigrationError, match="roadtwin migrate"):
        check_database(empty_database_url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_and_its_embedded_database(data_dir, number):
    with EmbeddedPostgres(data_dir) as postgres:
        migrate(postgres.url)
    environment = os.environ | {"ROADTWIN_DATA_DIR": str(data_dir)}
    environment.pop("ROADTWIN_DATABASE_URL", None)
    command = [sys.executable, "-m", "roadtwin.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = re.search(r"http://\S+", process.stdout.readline()).group()
        wait_until_it_answers(f"{address}/readyz")
        assert (data_dir / "postgres" / "postmaster.pid").exists()
        process.send_signal(number)
        _, complaints = process.communicate(timeout=30)
    assert "Traceback" not in complaints
    assert process.returncode == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def wait_until_it_answers(address: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"{address} did not answer")
