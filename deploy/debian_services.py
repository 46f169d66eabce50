"""Real TimescaleDB and Mosquitto for the tests, from Debian 13 packages, without Docker.

`start` bootstraps a Debian tree into a cache folder (about a minute, once), runs PostgreSQL 17 with TimescaleDB and
Mosquitto in it on free ports of 127.0.0.1, and writes their addresses to `state.env`; `stop` ends them; `status` tells.
Needs Debian or a relative of it, and root. On the machine itself it installs nothing but `debootstrap`, if missing.

Cache: `$ROADTWIN_CACHE_DIR/services`, default `.cache/services` in the repository.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("ROADTWIN_CACHE_DIR") or REPOSITORY / ".cache").resolve() / "services"
TREE = CACHE / "trixie"
STATE = CACHE / "state.env"
PACKAGES = ("postgresql-17-timescaledb", "mosquitto")
POSTGRES_PROGRAMS = "/usr/lib/postgresql/17/bin"
POSTGRES_DATA = "/srv/roadtwin/postgres"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0

POSTGRES_CONFIG = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    # Every test database has a scheduler of TimescaleDB.
    "timescaledb.max_background_workers": "16",
    "max_worker_processes": "32",
    "dynamic_shared_memory_type": "mmap",  # the tree has no /dev/shm of its own
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class ServicesError(Exception):
    """The services cannot be brought up or down."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("start", "stop", "status"))
    command = parser.parse_args().command
    try:
        return {"start": start, "stop": stop, "status": status}[command]()
    except ServicesError as exc:
        print(f"services: {exc}", file=sys.stderr)
        return 1


def start() -> int:
    """Bring both up; those that run already are left alone."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise ServicesError("they need Debian (or a relative of it) and root; the tests run without them, too.")
    bootstrap()
    state = read_state()
    if not is_running(state, "POSTGRES"):
        start_postgres(state)
    if not is_running(state, "MOSQUITTO"):
        start_mosquitto(state)
    return status()


def stop() -> int:
    """End what `start` started, and nothing else."""
    state = read_state()
    for name, how in (("MOSQUITTO", signal.SIGTERM), ("POSTGRES", signal.SIGINT)):  # SIGINT: PostgreSQL's fast stop
        if is_running(state, name):
            end(state, name, how)
            print(f"services: {name.lower()} stopped.")
    STATE.unlink(missing_ok=True)
    return 0


def status() -> int:
    """Say what runs, without the password; 0 if both do."""
    state = read_state()
    up = True
    for name in ("POSTGRES", "MOSQUITTO"):
        running = is_running(state, name)
        up = up and running
        where = f"up on 127.0.0.1:{state[f'{name}_PORT']}" if running else "not up"
        print(f"services: {name.lower()} {where}.")
    if up:
        print(f"services: addresses for the tests are in {STATE}.")
    return 0 if up else 1


# State: what runs, where, and the addresses that tests/conftest.py reads.


def read_state() -> dict[str, str]:
    if not STATE.exists():
        return {}
    return dict(line.split("=", 1) for line in STATE.read_text().splitlines() if "=" in line)


def write_state(state: dict[str, str]) -> None:
    half = STATE.with_suffix(".new")
    half.touch(mode=0o600)
    half.write_text("".join(f"{name}={value}\n" for name, value in sorted(state.items())))
    half.replace(STATE)


def started_at(pid: int) -> str:
    """When a process began, in the kernel's ticks; '' when it is gone. Tells it from a later one with its id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def is_running(state: dict[str, str], name: str) -> bool:
    return f"{name}_PID" in state and started_at(int(state[f"{name}_PID"])) == state[f"{name}_STARTED"] != ""


def end(state: dict[str, str], name: str, how: signal.Signals) -> None:
    os.kill(int(state[f"{name}_PID"]), how)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_running(state, name):
        if time.monotonic() > deadline:
            raise ServicesError(f"{name.lower()} (process {state[f'{name}_PID']}) does not stop.")
        time.sleep(0.1)


def free_port(state: dict[str, str], name: str) -> int:
    """The port of last time if it is still free, else any."""
    for wanted in (int(state.get(f"{name}_PORT", 0)), 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise ServicesError("there is no free port.")


# The Debian tree.


def bootstrap() -> None:
    """Make the tree unless an earlier run has finished it."""
    if TREE.exists():
        return
    if shutil.which("debootstrap") is None:
        print("services: installing debootstrap, the only package this needs on the machine itself.", flush=True)
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", "debootstrap")
    half = TREE.with_suffix(".new")
    remove_tree(half)
    CACHE.mkdir(parents=True, exist_ok=True)
    for folder in (CACHE, *CACHE.parents):  # the tree's own users must be able to get in
        if not folder.stat().st_mode & 0o001:
            raise ServicesError(f"other users cannot enter {folder}: set ROADTWIN_CACHE_DIR.")
    print(f"services: bootstrapping Debian 13 with {' and '.join(PACKAGES)} into {TREE} (about a minute).", flush=True)
    log = CACHE / "debootstrap.log"
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "trixie", str(half)]
    with log.open("w") as output:
        result = subprocess.run([*command, *debian_mirror()], check=False, stdout=output, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
        remove_tree(half)
        raise ServicesError(f"debootstrap failed ({' '.join(last) or 'it said nothing'}); see {log}.")
    shutil.rmtree(half / "var/cache/apt/archives", ignore_errors=True)
    half.rename(TREE)


def debian_mirror() -> list[str]:
    """The mirror that this machine's own packages come from, if it is a Debian; else debootstrap's default."""
    if "ID=debian" not in Path("/etc/os-release").read_text().splitlines():
        return []
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=False, capture_output=True, text=True
    )
    return [uri for uri in listed.stdout.splitlines() if uri.startswith("http") and uri.endswith("/debian/")][:1]


def remove_tree(tree: Path) -> None:
    """Remove an unfinished tree; whatever debootstrap left mounted in it is unmounted first."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for folder in sorted((m for m in mounted if m.startswith(f"{tree}/")), reverse=True):
        run("umount", folder)
    if tree.exists():
        shutil.rmtree(tree)


def run(*command: str) -> None:
    result = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise ServicesError(f"{' '.join(command)} failed: {' '.join(result.stderr.split())[-300:]}")


def in_tree(user: str, *command: str) -> list[str]:
    return ["chroot", f"--userspec={user}:{user}", "--groups=", str(TREE), *command]


def launch(state: dict[str, str], name: str, command: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a server that outlives us, with its output in a log, and note it in the state."""
    with (CACHE / f"{name.lower()}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
        )
    state |= {f"{name}_PID": str(process.pid), f"{name}_STARTED": started_at(process.pid), f"{name}_PORT": str(port)}
    write_state(state)
    return process


def wait(process: subprocess.Popen[bytes], name: str, command: list[str]) -> None:
    """Wait until `command` succeeds, while the server lives."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run(command, check=False, capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            last = (CACHE / f"{name.lower()}.log").read_text(errors="replace").splitlines()[-1:]
            raise ServicesError(f"{name.lower()} did not start: {' '.join(last) or 'it said nothing'}.")
        time.sleep(0.1)


def make_folder(path: str, user: str) -> Path:
    """A folder in the tree that belongs to a user of the tree."""
    passwd = (TREE / "etc/passwd").read_text().splitlines()
    uid, gid = next(line.split(":")[2:4] for line in passwd if line.startswith(f"{user}:"))
    folder = TREE / path.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, int(uid), int(gid))
    return folder


# The servers.


def start_postgres(state: dict[str, str]) -> None:
    password_file = CACHE / "postgres.password"
    folder = make_folder(POSTGRES_DATA, "postgres")
    make_folder("/srv/roadtwin", "postgres")
    if not (folder / "PG_VERSION").exists() or not password_file.exists():
        shutil.rmtree(folder)
        folder = make_folder(POSTGRES_DATA, "postgres")
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_hex(16))
        for_initdb = folder.with_name("password")
        for_initdb.touch(mode=0o600)
        for_initdb.write_text(password_file.read_text())
        os.chown(for_initdb, folder.stat().st_uid, folder.stat().st_gid)
        try:
            run(
                *in_tree("postgres", f"{POSTGRES_PROGRAMS}/initdb", "-D", POSTGRES_DATA, "-U", "postgres"),
                *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--auth=scram-sha-256", "--pwfile=/srv/roadtwin/password"),
            )
        finally:
            for_initdb.unlink()
    (folder / "postmaster.pid").unlink(missing_ok=True)  # ours does not run; a stale one may name a foreign process
    port = free_port(state, "POSTGRES")
    options = [f"--{name}={value}" for name, value in (POSTGRES_CONFIG | {"port": str(port)}).items()]
    process = launch(
        state, "POSTGRES", in_tree("postgres", f"{POSTGRES_PROGRAMS}/postgres", "-D", POSTGRES_DATA, *options), port
    )
    ready = in_tree("postgres", f"{POSTGRES_PROGRAMS}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port))
    wait(process, "POSTGRES", ready)
    password = password_file.read_text()
    state["ROADTWIN_TEST_DATABASE_URL"] = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    write_state(state)


def start_mosquitto(state: dict[str, str]) -> None:
    """Mosquitto with the configuration of the compose file; only the listener is this machine's own."""
    port = free_port(state, "MOSQUITTO")
    make_folder("/mosquitto/data", "mosquitto")
    listeners = TREE / "mosquitto/config/conf.d"
    listeners.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "deploy/mosquitto/mosquitto.conf", listeners.parent)
    (listeners / "listener.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    command = in_tree("mosquitto", "/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf")
    process = launch(state, "MOSQUITTO", command, port)
    wait(
        process,
        "MOSQUITTO",
        [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"],
    )
    state["ROADTWIN_TEST_MQTT_URL"] = f"mqtt://127.0.0.1:{port}"
    write_state(state)


if __name__ == "__main__":
    sys.exit(main())
