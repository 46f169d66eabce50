"""The demonstration: a simulated city set up, scored and served, and the whole chain checked over MQTT and HTTP."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roadtwin.errors import DemoError
from roadtwin.jobs.refresh import refresh as refresh_twin
from roadtwin.jobs.score import score_all
from roadtwin.jobs.simulated import (
    Progress,
    SimulatedCity,
    catch_up,
    found_city,
    new_city,
    read_simulated_city,
)
from roadtwin.jobs.train import train
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city
from roadtwin.storage.database import connect
from roadtwin.storage.keys import create_key, is_valid_key
from roadtwin.storage.model_runs import read_active_model_run
from simulators.scenario import Scenario, read_scenario
from simulators.world import World


@dataclass(frozen=True, slots=True)
class Prepared:
    """A city that is ready to be served."""

    simulated: SimulatedCity
    world: World
    first_time: bool


def prepare(
    url: str,
    settings: Settings,
    *,
    seed: int,
    length_km: float,
    winters: int,
    until: datetime,
    scenario: Scenario | None,
    on_progress: Progress,
) -> Prepared:
    """Set the city up, or catch up with the one that is there (its own seed and length win), and score it.

    The past is written up to `until`; what is newer has to come over MQTT. No scenario: that of the city that is
    there, or the ordinary one.

    Raises DemoError if the database holds a real city, or one of another scenario than the wanted one.
    """
    with connect(url) as conn:
        city = read_city(conn)
        simulated = read_simulated_city(conn)
    if city is not None and simulated is None:
        raise DemoError(
            f"This database holds a real city ({city.name}); the demo needs a database of its own. "
            "Set ROADTWIN_DATABASE_URL or ROADTWIN_DATA_DIR to another place."
        )
    first_time = simulated is None
    if simulated is None:
        simulated = new_city(
            settings,
            seed=seed,
            length_km=length_km,
            winters=winters,
            now=until,
            scenario=scenario or read_scenario("ordinary"),
        )
    elif scenario is not None and scenario != simulated.scenario:
        raise DemoError(
            f"The simulated city of this database has the scenario {simulated.scenario.name!r}, not {scenario.name!r} "
            "as it is now. Set ROADTWIN_DATABASE_URL or ROADTWIN_DATA_DIR to another place for another city."
        )
    on_progress("city", 0.0)
    world = found_city(url, settings, simulated)
    on_progress("city", 1.0)
    if simulated.until < until:
        simulated = catch_up(url, settings, simulated, world, now=until, on_progress=on_progress)
    refresh(url, settings, on_progress=on_progress)
    return Prepared(simulated, world, first_time)


def refresh(url: str, settings: Settings, *, on_progress: Progress) -> None:
    """Bring the twin up to now, train if no model is there, and score."""
    now = datetime.now(UTC)
    with connect(url) as conn:
        refresh_twin(conn, settings, now=now, on_progress=lambda part: on_progress("twin", part))
        if read_active_model_run(conn) is None:
            train(conn, settings, now=now, on_progress=lambda part: on_progress("model", part))
            conn.commit()
        on_progress("model", 1.0)
        on_progress("scores", 0.0)
        score_all(conn, settings, now=now)
        conn.commit()
        on_progress("scores", 1.0)


def editor_key(url: str, data_dir: Path) -> str:
    """An editor key for this database: made when there is none, kept in the data directory for its owner only."""
    file = data_dir / "demo-editor.key"
    with connect(url) as conn:
        if file.exists() and is_valid_key(conn, key := file.read_text("utf-8").strip()):
            return key
        now = datetime.now(UTC)
        key = create_key(conn, f"demo {now:%Y-%m-%d %H:%M:%S}", "editor", now=now, actor="demo")
        file.touch(mode=0o600)
        file.write_text(key + "\n", "utf-8")
        conn.commit()
    return key


def require_free_port(host: str, port: int) -> None:
    """Raise DemoError before anything long begins if somebody else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise DemoError(
                f"Cannot listen on {host}:{port} ({exc.strerror}); choose another port with --port."
            ) from exc


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_until_ready(address: str, *, check: Callable[[], None], timeout_s: float = 60) -> None:
    """Wait for the service's /readyz; `check` may raise meanwhile (a child died)."""
    deadline = time.monotonic() + timeout_s
    while True:
        check()
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as exc:
            if time.monotonic() > deadline:
                raise DemoError(f"The service did not become ready within {timeout_s:.0f} s: {exc}.") from exc
            time.sleep(0.1)


def get_json(address: str, path: str) -> Any:
    """Body of a GET; raises DemoError with the problem's text for anything but success."""
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=30) as response:  # noqa: S310 - our own address
            return json.load(response)
    except urllib.error.HTTPError as exc:
        raise DemoError(f"GET {path} answered {exc.code}: {exc.read(2000).decode('utf-8', 'replace')}") from exc


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of two counts that were found in different ways."""

    name: str
    expected: int
    got: int

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return self.expected == self.got

    def to_json(self) -> dict[str, Any]:
        """Plain values for the summary."""
        return {**asdict(self), "ok": self.ok}
