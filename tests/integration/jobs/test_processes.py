"""Children of the demo: their death is told, their end is orderly, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadtwin.errors import DemoError
from roadtwin.jobs.processes import ProcessGroup


def wait_until(condition, timeout_s=15):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path):
    with ProcessGroup(log_dir=tmp_path, env={"ROADTWIN_DATABASE_URL": "mysql://wrong"}) as group:
        child = group.start("status", ["status"])
        child.process.wait(timeout=30)

        with pytest.raises(DemoError, match=r"status process ended with code 1(.|\n)*postgresql://"):
            group.check()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_child_ends_when_its_parent_is_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from roadtwin.jobs.processes import ProcessGroup\n"
        "group = ProcessGroup(log_dir=Path(sys.argv[1]), env={'ROADTWIN_HTTP_PORT': '0'})\n"
        "child = group.start('serve', ['serve'])\n"
        "print(child.process.pid, flush=True); time.sleep(60)\n"
    )
    database_url = "postgresql://nobody@127.0.0.1:1/none"  # `serve` keeps trying: it stays alive without one
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROADTWIN_DATABASE_URL": database_url},
    )
    with parent:
        pid = int(parent.stdout.readline())
        time.sleep(3)
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    wait_until(lambda: not alive(pid))
