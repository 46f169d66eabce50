"""The service on a port of its own, with the test city, and a real Chromium."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from service.app import UI_DIR, create_app
from tests.service_city import City, build

CHROMIUM = os.environ.get("ROADTWIN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",  # tests may run as root in a container
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-background-networking",
    "--disable-component-update",
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "context: options of the browser context of this test")
    config.addinivalue_line("markers", "writes: this test changes the city and gets one of its own")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: install the Debian package chromium, or set ROADTWIN_CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Site:
    """A running service."""

    url: str
    city: City
    database_url: str


@contextmanager
def serve(database_url: str) -> Iterator[Site]:
    """The test city as of now, served."""
    with connect(database_url) as db:
        city = build(db, datetime.now(UTC))
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(_secrets_dir=None), database_url)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", city, database_url)
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


@pytest.fixture(scope="module")
def shared_site(embedded_server: Any) -> Iterator[Site]:
    """One service for all tests that only look."""
    name, url = embedded_server.clone()
    with serve(url) as site:
        yield site
    embedded_server.drop(name)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The shared service, or one of its own for a test that is marked `writes`."""
    if request.node.get_closest_marker("writes") is None:
        yield request.getfixturevalue("shared_site")
        return
    server = request.getfixturevalue("embedded_server")
    name, url = server.clone()
    with serve(url) as site:
        yield site
    server.drop(name)


@dataclass
class Visit:
    """A page, and what it did besides being looked at."""

    page: Any
    site: Site
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def wait_for_map(self) -> None:
        if not (UI_DIR / "vendor").is_dir():
            pytest.skip("the map library is not installed: run `python deploy/install_ui_libraries.py`")
        self.page.wait_for_function(
            """() => {
                const map = document.querySelector("road-map")?.map;
                return map?.isStyleLoaded() && map.areTilesLoaded()
                    && map.queryRenderedFeatures({layers: ["segments"]}).length > 0;
            }""",
            timeout=30_000,
        )


@pytest.fixture
def visit(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The page, open; the marker `context` gives options of the browser context."""
    marker = request.node.get_closest_marker("context")
    options = {"locale": "de-DE", "viewport": {"width": 1440, "height": 900}} | (marker.kwargs if marker else {})
    context = browser.new_context(**options)
    page = context.new_page()
    visit = Visit(page, site)
    page.on("request", lambda r: visit.foreign.append(r.url) if not _is_own(r.url, site.url) else None)
    page.on("console", lambda m: visit.complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: visit.complaints.append(str(e)))
    page.goto(site.url)
    yield visit
    context.close()


def _is_own(url: str, origin: str) -> bool:
    return url.startswith((origin, f"blob:{origin}", "data:"))
