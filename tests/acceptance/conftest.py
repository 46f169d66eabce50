"""Commands as a user runs them: processes of their own, with settings from the environment."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def clean_environment(**settings: str) -> dict[str, str]:
    """This environment without Roadtwin's settings, but for those given (without their prefix)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROADTWIN_")}
    return {**kept, **{f"ROADTWIN_{name}": value for name, value in settings.items()}}


def roadtwin(*arguments: str, timeout_s: float = 600, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(**settings),
        cwd=REPOSITORY,
        timeout=timeout_s,
    )


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command that runs until it is told to stop; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **settings: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "roadtwin.cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(**settings),
            cwd=REPOSITORY,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
