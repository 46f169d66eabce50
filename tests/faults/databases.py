"""PostgreSQL servers of our own that can be stopped in every way: embedded, and TimescaleDB from `make services`.

Both run with fsync on, and keep their address over restarts.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal, Protocol

import psycopg

from deploy import debian_services
from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres
from tests.faults.processes import free_port, wait_for
from tests.faults.proxies import Target

How = Literal["fast", "immediate", "kill"]
# PostgreSQL's own: SIGINT ends sessions and writes a checkpoint, SIGQUIT leaves at once, as a crash would.
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}


class Server(Protocol):
    """A PostgreSQL server that a test may break."""

    name: str
    target: Target
    """Where a proxy reaches it."""
    password: str

    @property
    def url(self) -> str:
        """Address of the database `postgres`, straight and not by a proxy."""
        ...

    def start(self) -> None:
        """Start it, if it does not run, and wait until it accepts connections."""
        ...

    def stop(self, how: How) -> None:
        """Stop it and wait until it is gone."""
        ...

    def close(self) -> None:
        """End it for good and remove its files."""
        ...

    def folder_for_tablespace(self) -> tuple[Path, str]:
        """An empty folder of the server's user; its path here, and as the server sees it."""
        ...


def _is_gone(pid: int) -> bool:
    return debian_services.started_at(pid) == ""


def _signal_server(pid: int, how: How) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, _SIGNALS[how])
    wait_for(lambda: _is_gone(pid), f"the end of PostgreSQL after {how}", within_s=60)


class EmbeddedServer:
    """The embedded PostgreSQL on a data directory of its own."""

    name = "embedded"
    password = ""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres = EmbeddedPostgres(directory)
        self.target: Target = str(self._socket())
        self.url = self._postgres.url.replace("/roadtwin?", "/postgres?")

    def start(self) -> None:
        before = self._postgres
        self._postgres = EmbeddedPostgres(self._directory)  # starts the server, whatever became of the former one
        before.close()

    def stop(self, how: How) -> None:
        _signal_server(self._pid(), how)

    def close(self) -> None:
        with contextlib.suppress(DatabaseUnavailableError):  # it may be stopped already
            self._postgres.close()

    def folder_for_tablespace(self) -> tuple[Path, str]:
        folder = self._directory / f"space-{secrets.token_hex(4)}"
        folder.mkdir()
        owner = self._postgres.directory.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        return folder, str(folder)

    def _pid(self) -> int:
        return int((self._postgres.directory / "postmaster.pid").read_text().split()[0])

    def _socket(self) -> Path:
        lines = (self._postgres.directory / "postmaster.pid").read_text().splitlines()
        return Path(lines[4]) / f".s.PGSQL.{lines[3]}"


class TimescaleServer:
    """A second cluster in the Debian tree of `make services`: PostgreSQL 17 with TimescaleDB."""

    name = "timescale"

    def __init__(self) -> None:
        self._path = f"/srv/roadtwin/faults-{secrets.token_hex(4)}"
        self._folder = debian_services.make_folder(self._path, "postgres")
        self.password = secrets.token_hex(16)
        self._initialise()
        self._port = free_port()
        self.target: Target = ("127.0.0.1", self._port)
        self.url = f"postgresql://postgres:{self.password}@127.0.0.1:{self._port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @staticmethod
    def is_possible() -> bool:
        """Whether the tree is there and we may use it."""
        return os.geteuid() == 0 and debian_services.TREE.exists()

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        options = [f"--{n}={v}" for n, v in (debian_services.POSTGRES_CONFIG | {"port": str(self._port)}).items()]
        program = f"{debian_services.POSTGRES_PROGRAMS}/postgres"
        deadline = time.monotonic() + 60
        with (self._folder / "server.log").open("ab") as log:
            while not self._answers():
                # After a kill its children need a moment to leave the shared memory: it is started again till then.
                if self._process is None or self._process.poll() is not None:
                    self._process = subprocess.Popen(
                        debian_services.in_tree("postgres", program, "-D", self._path, *options),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        env=debian_services.ENVIRONMENT,
                    )
                if time.monotonic() > deadline:
                    raise TimeoutError("The second cluster of TimescaleDB did not start within 60 s.")
                time.sleep(0.1)

    def stop(self, how: How) -> None:
        assert self._process is not None
        self._process.send_signal(_SIGNALS[how])
        self._process.wait(60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def folder_for_tablespace(self) -> tuple[Path, str]:
        path = f"{self._path}-space-{secrets.token_hex(4)}"
        return debian_services.make_folder(path, "postgres"), path

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        password_path = f"{self._path}.password"
        password_file = debian_services.TREE / password_path.lstrip("/")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        os.chown(password_file, self._folder.stat().st_uid, self._folder.stat().st_gid)
        try:
            debian_services.run(
                *debian_services.in_tree("postgres", f"{debian_services.POSTGRES_PROGRAMS}/initdb"),
                *("-D", self._path, "-U", "postgres", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
                *("--builtin-locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_path}"),
            )
        finally:
            password_file.unlink()


def execute(url: str, *statements: str) -> None:
    """Run statements outside transactions: for faults that an operator could cause by SQL."""
    with connect(url, autocommit=True, application_name="roadtwin faults") as conn:
        for statement in statements:
            conn.execute(statement.encode())  # made of constants and names of our own
