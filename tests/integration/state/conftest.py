"""A small network and what is written about it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from roadtwin.jobs.importing import import_network
from roadtwin.network.sections import RoadSection
from roadtwin.storage.city import write_city

NORTH = RoadSection("reg", "7", np.array([[7.0, 51.45], [7.0, 51.4527]]))  # 300 m, three segments
FAR = RoadSection("reg", "8", np.array([[7.2, 51.45], [7.2, 51.4509]]))  # 14 km to the east


@pytest.fixture
def city(db):
    write_city(db, name="Teststadt", timezone="Europe/Berlin", simulated=False)
    import_network(db, [NORTH, FAR], recorded_at=datetime(2025, 1, 1, tzinfo=UTC))
    db.commit()
    return db
