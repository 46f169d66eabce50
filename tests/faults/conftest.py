"""A rig for each test, on a database server of the whole run that each test leaves running."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import SERVICES_REQUIRED, DatabaseServer
from tests.faults.databases import EmbeddedServer, Server, TimescaleServer
from tests.faults.processes import MOSQUITTO
from tests.faults.rig import Rig

Servers = dict[str, tuple[Server, DatabaseServer]]


@pytest.fixture(scope="session")
def servers(session_data_dir: Path) -> Iterator[Servers]:
    """Those that are running, by name; each is started by the first test that needs it."""
    running: Servers = {}
    yield running
    for server, _ in running.values():
        server.close()


def _is_missing(reason: str) -> None:
    if SERVICES_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def _running(servers: Servers, name: str, directory: Path) -> tuple[Server, DatabaseServer]:
    if name not in servers:
        server: Server = EmbeddedServer(directory / "faults") if name == "embedded" else TimescaleServer()
        servers[name] = server, DatabaseServer(server.url)
    servers[name][0].start()  # the test before may have failed while it was down
    return servers[name]


def _make_rig(servers: Servers, name: str, session_data_dir: Path, data_dir: Path) -> Iterator[Callable[..., Rig]]:
    if MOSQUITTO is None:
        _is_missing("Mosquitto is not installed on this machine")
    server, databases = _running(servers, name, session_data_dir)
    rigs: list[Rig] = []

    def make(**options: str) -> Rig:
        rigs.append(Rig(data_dir, server, databases, **options))
        return rigs[-1]

    yield make
    server.start()
    for rig in rigs:
        rig.close()


@pytest.fixture(params=["embedded", "timescale"])
def make_rig(
    request: pytest.FixtureRequest, servers: Servers, session_data_dir: Path, data_dir: Path
) -> Iterator[Callable[..., Rig]]:
    """Makes a rig, on each kind of database: for faults of the database."""
    if request.param == "timescale" and not TimescaleServer.is_possible():
        _is_missing("there is no TimescaleDB here: run `make services`, as root")
    yield from _make_rig(servers, request.param, session_data_dir, data_dir)


@pytest.fixture
def make_any_rig(servers: Servers, session_data_dir: Path, data_dir: Path) -> Iterator[Callable[..., Rig]]:
    """Makes a rig, on TimescaleDB where it is up: for faults that have nothing to do with the database."""
    name = "timescale" if TimescaleServer.is_possible() else "embedded"
    yield from _make_rig(servers, name, session_data_dir, data_dir)


@pytest.fixture
def mount_tiny() -> Iterator[Callable[[Path, str], Callable[[str], None]]]:
    """Mounts a small disk on a folder and gives what resizes it; skips where mounting is not permitted."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> Callable[[str], None]:
        status = folder.stat()
        options = f"size={size},uid={status.st_uid},gid={status.st_gid},mode=700"
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True, text=True
        )
        if result.returncode != 0:
            folder.rmdir()
            pytest.skip(f"a small disk cannot be mounted here: {result.stderr.strip()}")
        mounted.append(folder)
        return lambda size: _run("mount", "-o", f"remount,size={size}", str(folder))

    yield mount
    for folder in mounted:
        _run("umount", "--lazy", str(folder))
        folder.rmdir()


@pytest.fixture
def tiny_disk(data_dir: Path, mount_tiny: Callable[[Path, str], Callable[[str], None]]) -> Path:
    """A folder with room for 1 MB."""
    folder = data_dir / "tiny"
    folder.mkdir()
    mount_tiny(folder, "1m")
    return folder


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)
