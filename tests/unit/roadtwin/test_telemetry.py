"""Logs say what happened and never what must stay secret."""

import logging

import pytest

from roadtwin.settings import load_settings
from roadtwin.telemetry import configure_logging, get_logger


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values_of_variables(log_format, capsys):
    configure_logging(load_settings(log_format=log_format))

    def connect(password):
        raise ConnectionError("broker gone")

    secret = "-".join(["hush"] * 2)  # written out, it would stand in the traceback as source

    try:
        connect(secret)
    except ConnectionError:
        get_logger("test").exception("cannot connect", action="connect_failed")

    logged = capsys.readouterr().err
    assert "broker gone" in logged
    assert "connect_failed" in logged
    assert secret not in logged
