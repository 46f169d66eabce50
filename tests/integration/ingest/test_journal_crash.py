"""The journal of processes that are killed while they write, and on disks that are full or closed to them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from ingest.journal import Journal
from roadtwin.errors import JournalLockedError

COMMON = """
    import os, random, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from ingest.journal import Journal
    from ingest.received import Received
    from roadtwin.errors import JournalError
    from roadtwin.settings import Settings
    from roadtwin.telemetry import configure_logging

    configure_logging(Settings())  # to stderr: what we say goes to stdout

    def message(number, size):
        return Received("t", f"{number:012d}".encode().ljust(size, b"."), datetime.now(UTC), qos=1)

    def say(word, number):
        os.write(1, f"{word} {number}\\n".encode())  # one write: whole, or not at all, when we are killed

    directory, first, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
"""

APPENDING = """
    rng = random.Random(seed)
    journal = Journal(directory, max_bytes=1 << 30, segment_bytes=1 << 17)
    journal.open()
    say("ready", 0)
    while True:
        batch = [message(first + n, rng.choice((20, 300, 1500))) for n in range(rng.randint(1, 60))]
        journal.append(batch)
        first += len(batch)
        say("appended", first)
        if rng.random() < 0.4:
            items = journal.read(rng.randint(1, 50))
            say("draining", int(items[-1].payload[:12]) + 1)
            journal.commit(len(items))
            say("drained", int(items[-1].payload[:12]) + 1)
"""

FILLING = """
    if first:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (first, first))
    journal = Journal(directory, max_bytes=1 << 30)
    journal.open()
    appended = 0
    while True:
        try:
            journal.append([message(appended + n, 1000) for n in range(30)])
        except JournalError as exc:
            print("failed", str(exc).split(": ", 1)[1].split(",")[0])
            break
        appended += 30
    journal.append([message(appended, 50)])  # what still fits goes in
    print("appended", appended + 1)
    journal.close()
    journal = Journal(directory, max_bytes=1 << 30)
    journal.open()
    numbers = []
    while items := journal.read(100):
        numbers += [int(item.payload[:12]) for item in items]
        journal.commit(len(items))
    print("in_order", int(numbers == list(range(appended + 1))))
    journal.append([message(n, 1000) for n in range(30)])
    print("after", journal.depth_messages)
"""


@pytest.fixture
def start():
    """Starts a program on a journal's directory; none is left running."""
    children = []

    def start(program, directory, first=0, seed=0, wrapper=()):
        text = textwrap.dedent(COMMON) + textwrap.dedent(program)
        command = [*wrapper, sys.executable, "-c", text, str(directory), str(first), str(seed)]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.communicate(timeout=10)


def said(output):
    """What was said, word by word: the last number of each."""
    return dict(line.split() for line in output.splitlines())


def numbers(journal):
    """Every message not committed."""
    found = []
    while items := journal.read(1000):
        found += [int(item.payload[:12]) for item in items]
        journal.commit(len(items))
    return found


def test_what_was_appended_survives_kills_at_any_instant(tmp_path, start):
    rng = random.Random(20260119)
    directory = tmp_path / "journal"
    appended, drained = 0, 0
    for life in range(20):
        child = start(APPENDING, directory, appended, life)
        assert child.stdout.readline() == "ready 0\n"
        time.sleep(rng.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        words = said(child.communicate(timeout=10)[0])
        appended = int(words.get("appended", appended))
        drained = int(words.get("drained", drained))
        draining = max(drained, int(words.get("draining", 0)))

        journal = Journal(directory, max_bytes=1 << 30, segment_bytes=1 << 17)
        journal.open()
        left = read_all(journal)
        if left:
            # In order, none twice, none missing. A commit or an append may be done that the child did not tell of.
            assert left == list(range(left[0], left[-1] + 1))
            assert drained <= left[0] <= draining
            assert appended <= left[-1] + 1 <= appended + 60
            drained, appended = left[0], left[-1] + 1
        else:
            assert draining >= appended
            drained = appended
        if life % 5 == 4:
            assert numbers(journal) == left
            assert list(directory.glob("*.journal")) == []
            drained = appended
        journal.close()

    assert appended > 1000, "the children did not get to write"
    assert list(directory.glob("*.damaged")) == []


def read_all(journal):
    """Every message not committed, without committing: few enough to be read at once."""
    items = journal.read(10**6)
    assert len(items) == journal.depth_messages
    return [int(item.payload[:12]) for item in items]


def test_a_killed_process_leaves_its_directory_to_the_next(tmp_path, start):
    child = start(APPENDING, tmp_path)
    assert child.stdout.readline() == "ready 0\n"
    with pytest.raises(JournalLockedError):
        Journal(tmp_path, max_bytes=1 << 20).open()
    child.kill()
    child.communicate(timeout=10)

    journal = Journal(tmp_path, max_bytes=1 << 20)
    journal.open()
    journal.close()


def test_a_file_that_may_not_grow_is_cut_back_to_its_last_good_record(tmp_path, start):
    child = start(FILLING, tmp_path, 200_000)
    words = said(child.communicate(timeout=20)[0])

    assert child.returncode == 0
    assert words["failed"] == "EFBIG"
    assert words["in_order"] == "1"
    assert int(words["appended"]) > 100
    assert words["after"] == "30"


def test_a_full_disk_refuses_and_drains_and_takes_messages_again(tmp_path, start):
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    if unshare is None or mount is None:
        pytest.skip("a private file system of 1 MiB needs unshare and mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    # Mounted for this process and its children only, so that it goes when they go.
    mounted = f'{mount} -t tmpfs -o size=1m tmpfs {disk} && exec "$@"'
    rootless = () if os.geteuid() == 0 else ("--map-root-user",)
    wrapper = (unshare, "--mount", *rootless, "sh", "-c", mounted, "sh")
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a private file system")
    child = start(FILLING, disk / "journal", wrapper=wrapper)
    words = said(child.communicate(timeout=20)[0])

    assert child.returncode == 0
    assert words["failed"] == "ENOSPC"
    assert words["in_order"] == "1"
    assert int(words["appended"]) > 500
    assert words["after"] == "30"


def test_a_directory_that_is_closed_to_us_is_refused_by_name(data_dir, start):
    program = """
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            Journal(directory, max_bytes=1 << 20).open()
        except JournalError as exc:
            print("refused", str(exc).split(": ", 1)[1].split(",")[0])
    """
    data_dir.chmod(0o555)
    for directory in (data_dir, data_dir / "journal"):
        child = start(program, directory)
        assert said(child.communicate(timeout=20)[0]) == {"refused": "EACCES"}
    data_dir.chmod(0o755)
