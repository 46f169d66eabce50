"""One small city for all tests of this folder; its truth is run once."""

from datetime import UTC, datetime

import pytest

from simulators.world import World, build_world


@pytest.fixture(scope="session")
def small_world() -> World:
    return build_world(seed=11, length_km=15, start=datetime(2024, 9, 30, 22, tzinfo=UTC))
