"""The supervisor with commands that do what a worker may do: run, die, refuse."""

import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import ingest.workers
from ingest.retiring import worker_names
from ingest.workers import REFUSED_CODE, Retirement, Supervisor
from roadtwin.errors import WorkerNotRetiredError, WorkerRefusedError

RUN = "import time; time.sleep(60)"
REFUSE = f"import os, sys; os.write(int(sys.argv[1]), b'The broker says no.'); sys.exit({REFUSED_CODE})"
DIE = "import sys; sys.exit(1)"


def command(**scripts: str):
    """Command lines: the script of that worker."""
    return lambda name, reason_fd: [sys.executable, "-S", "-c", scripts[name], str(reason_fd), name]


def noting(path: Path, then: str) -> str:
    """A script that notes its process id and start first."""
    return f"import os; open({str(path)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{then}"


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_one_worker_is_called_like_its_ingester_and_several_are_numbered():
    assert worker_names("essen", 1) == ["essen"]
    assert worker_names("essen", 2) == ["essen-1", "essen-2"]


def test_all_end_when_told_to(tmp_path):
    stop, started = threading.Event(), tmp_path / "pids"
    supervisor = Supervisor(["a", "b"], command(a=noting(started, RUN), b=noting(started, RUN)), {}, stop)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_for(lambda: len(pids(started)) == 2)

    stop.set()
    thread.join(10)

    assert not thread.is_alive()
    assert not any(is_there(pid) for pid in pids(started))


def test_one_that_refuses_is_not_started_again_and_its_reason_is_told(tmp_path):
    started, others = tmp_path / "pids", tmp_path / "others"
    refusing = (
        f"import time\nwhile not __import__('pathlib').Path({str(others)!r}).exists(): time.sleep(0.01)\n{REFUSE}"
    )
    scripts = command(a=noting(started, refusing), b=noting(others, RUN))

    with pytest.raises(WorkerRefusedError, match=r"Worker a refused to run, so all were stopped: The broker says no\."):
        Supervisor(["a", "b"], scripts, {}, threading.Event()).run()

    assert len(pids(started)) == 1
    assert not any(is_there(pid) for pid in pids(others))


def test_one_that_dies_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest.workers, "FIRST_DELAY_S", 0.01)
    started = tmp_path / "pids"

    with pytest.raises(WorkerRefusedError, match=r"Worker a ended 6 times in a row.*the last time with exit code 1"):
        Supervisor(["a"], command(a=noting(started, DIE)), {}, threading.Event()).run()

    assert len(pids(started)) == 6


def test_one_that_dies_is_started_again_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest.workers, "FIRST_DELAY_S", 0.5)
    stop, started = threading.Event(), tmp_path / "pids"
    dying_once = noting(started, f"import sys\nif open({str(started)!r}).read().count(chr(10)) < 2: sys.exit(7)\n{RUN}")
    thread = threading.Thread(target=Supervisor(["a"], command(a=dying_once), {}, stop).run)
    began_s = time.monotonic()
    thread.start()
    wait_for(lambda: len(pids(started)) == 2)
    waited_s = time.monotonic() - began_s
    stop.set()
    thread.join(10)

    assert waited_s > 0.5
    assert not is_there(pids(started)[-1])


def test_retiring_waits_for_all_and_names_the_one_that_cannot_be_retired(tmp_path):
    done = tmp_path / "done"
    with Retirement(["a"], command(a=f"import time; time.sleep(0.3); open({str(done)!r}, 'w')"), {}) as retirement:
        retirement.wait(threading.Event())
        assert done.exists()

    with (
        Retirement(["a", "b"], command(a=RUN, b=REFUSE), {}) as retirement,
        pytest.raises(WorkerNotRetiredError, match=r"Worker b .* cannot be retired: The broker says no\."),
    ):
        retirement.wait(threading.Event())


def test_one_that_fails_to_be_retired_is_left_for_later(tmp_path):
    with capture_logs() as logs, Retirement(["a"], command(a=DIE), {}) as retirement:
        retirement.wait(threading.Event())

    assert [(event["action"], event["how"], event["remedy"]) for event in logs] == [
        ("worker_not_retired", "with exit code 1", "roadtwin ingest --retire a")
    ]


def test_retiring_that_takes_long_goes_on_and_ends_with_us(tmp_path):
    started = tmp_path / "pids"
    with Retirement(["a"], command(a=noting(started, RUN)), {}) as retirement:
        wait_for(lambda: pids(started))
        retirement.wait(threading.Event(), patience_s=0.1)
        assert is_there(pids(started)[0])

    assert not is_there(pids(started)[0])


def test_a_stop_ends_retiring(tmp_path):
    started, stop = tmp_path / "pids", threading.Event()
    threading.Timer(0.5, stop.set).start()

    with Retirement(["a"], command(a=noting(started, RUN)), {}) as retirement:
        retirement.wait(stop)

    assert stop.is_set()
    assert not any(is_there(pid) for pid in pids(started))
