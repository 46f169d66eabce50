"""A storage server of the test, and settings that name it."""

import pytest

from roadtwin.settings import Settings
from tests.storage_integration import KEY, storage_integration


@pytest.fixture
def server():
    with storage_integration() as running:
        yield running


@pytest.fixture
def settings(server, tmp_path):
    return Settings(data_dir=tmp_path, tts_url=server.url, tts_api_key=KEY, tts_applications="roads@essen")
