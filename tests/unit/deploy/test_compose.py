"""The compose file's own check finds what would only fail in production; its secrets open what they should."""

import importlib.util
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from roadtwin.errors import BrokerUnavailableError
from roadtwin.jobs import broker
from roadtwin.settings import load_settings

REPOSITORY = Path(__file__).resolve().parents[3]
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text()


def load(name):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "deploy" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_compose = load("check_compose").check_compose
make_secrets = load("make_secrets")


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("ROADTWIN_HTTP_PORT", "ROADTWIN_PORT", "ROADTWIN_PORT is not a setting"),
        ("command: [migrate]", "command: [upgrade]", "roadtwin upgrade is not a command"),
        ("command: [migrate]", "command: [migrate, --faster]", "No such option"),
        ('"127.0.0.1:8000:8000"', '"8000:8000"', "does not match"),
        ("    healthcheck:\n      test: [CMD, nc", "    x-health:\n      test: [CMD, nc", "x-health"),
        ("database: {condition: service_healthy}", "db: {condition: service_healthy}", "db, which is not a service"),
        ("./deploy/mosquitto/mosquitto.conf", "./deploy/mosquitto.conf", "there is no file ./deploy/mosquitto.conf"),
        ("eclipse-mosquitto:2.0.22", "eclipse-mosquitto:latest", "does not match"),
    ],
)
def test_a_mistake_in_the_compose_file_is_found(right, wrong, finding):
    assert right in COMPOSE
    findings = check_compose(COMPOSE.replace(right, wrong))

    assert any(finding in sentence for sentence in findings), findings


def test_secrets_are_settings_that_load(tmp_path, monkeypatch):
    make_secrets.make_secrets(tmp_path)
    for name in ("ROADTWIN_DATABASE_URL", "ROADTWIN_MQTT_URL", "ROADTWIN_PSEUDONYM_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROADTWIN_SECRETS_DIR", str(tmp_path))

    settings = load_settings()

    password = (tmp_path / "database_password").read_text()
    assert settings.database_url.get_secret_value() == f"postgresql://roadtwin:{password}@database:5432/roadtwin"
    assert settings.mqtt_url.get_secret_value().startswith("mqtt://roadtwin:")
    assert len(settings.pseudonym_key.get_secret_value()) == 64


def test_secrets_that_exist_are_kept(tmp_path):
    make_secrets.make_secrets(tmp_path)
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}

    assert make_secrets.make_secrets(tmp_path) == []
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before


def test_half_a_pair_of_secrets_is_refused(tmp_path):
    make_secrets.make_secrets(tmp_path)
    (tmp_path / "mosquitto_passwd").unlink()

    with pytest.raises(SystemExit, match="mosquitto_passwd is missing"):
        make_secrets.make_secrets(tmp_path)


@pytest.mark.parametrize(("password", "answer"), [("right", "Success"), ("wrong", "Not authorized")])
def test_mosquitto_lets_in_who_has_the_password_of_the_secrets(data_dir, monkeypatch, password, answer):
    """The listener of the compose file on this machine's Mosquitto: only port and paths are replaced."""
    listener = (REPOSITORY / "deploy/mosquitto/listeners/compose.conf").read_text()
    passwd = data_dir / "passwd"
    passwd.write_text(make_secrets.mosquitto_passwd_line("roadtwin", "right"))
    lines = listener.replace("/run/secrets/mosquitto_passwd", str(passwd)).replace("1883", "{port} 127.0.0.1")
    monkeypatch.setattr(broker, "_MOSQUITTO_CONFIG", f"user {{user}}\npid_file {{directory}}/mosquitto.pid\n{lines}")
    try:
        started = broker.start_broker(data_dir, kind="mosquitto")
    except BrokerUnavailableError as exc:
        pytest.skip(str(exc))
    with started:
        answers, answered = [], threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.username_pw_set("roadtwin", password)
        client.on_connect = lambda c, u, f, reason, p: (answers.append(str(reason)), answered.set())
        client.connect("127.0.0.1", int(started.url.rsplit(":", 1)[1]))
        client.loop_start()
        assert answered.wait(10)
        client.disconnect()
        client.loop_stop()
    assert answers[0] == answer


def test_neither_repository_nor_image_carries_secrets_or_cache():
    assert {"secrets/", ".cache/"} <= set((REPOSITORY / ".gitignore").read_text().split())
    assert (REPOSITORY / ".dockerignore").read_text().startswith("*\n")  # everything that is not named
