"""Which code is running: the package's version, and the commit it was checked out from where there is one."""

import subprocess
from functools import cache
from pathlib import Path

from roadtwin import __version__

_TIMEOUT_S = 5.0


@cache
def code_version() -> str:
    """Version of this code, as a local version of PEP 440: ``0.1.0+g1a2b3c4d5e6f``, and ``.dirty`` at its end where
    files of the checkout differ from the commit.

    Without git, or from an installed package, it is the package's version alone; that is never an error.
    """
    return describe(Path(__file__).resolve().parents[1], __version__)


def describe(root: Path, version: str) -> str:
    """`version` with the commit of the checkout whose root is exactly `root`, if it is one.

    A package that is installed somewhere inside another project's checkout must not take that project's commit: hence
    the root is not searched for.
    """
    if not (root / ".git").exists():
        return version
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if not commit:
        return version
    return f"{version}+g{commit}{'.dirty' if changes else ''}"


def _git(root: Path, *arguments: str) -> str | None:
    """What git answers; None where it is missing, slow, or will not read this checkout (somebody else's, no commit)."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607 - git is wherever the system keeps it
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
