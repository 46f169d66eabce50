"""The HTTP edge of the storage integration against a real server on 127.0.0.1."""

import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from ingest.tts_storage import NO_DEVICE, Application, StorageApi
from roadtwin.errors import SettingsError, StorageApiAwayError, StorageApiError
from roadtwin.settings import load_settings
from tests.samples import tts
from tests.storage_integration import KEY, rfc3339, storage_integration, times

ROADS = Application("roads", "essen")
FIRST = datetime(2026, 3, 10, 11, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def server():
    with storage_integration() as running:
        yield running


def fill(server, count):
    for at in times(FIRST, count):
        server.add(tts(received_at=rfc3339(at)))


def api(server, **options):
    return StorageApi(server.url, KEY, **({"max_line_bytes": 100_000, "timeout_s": 5.0} | options))


def fetch(server, *, limit=1000, **options):
    return list(api(server, **options).uplinks(ROADS, after=FIRST - timedelta(seconds=1), limit=limit))


def test_what_is_asked_and_what_comes(server):
    fill(server, 3)

    uplinks = fetch(server, limit=2)

    assert server.paths == ["/api/v3/as/applications/roads/packages/storage/uplink_message"]
    assert server.requests == [{"after": "2026-03-10T10:59:59.250000Z", "order": "received_at", "limit": "2"}]
    assert [uplink.received_at for uplink in uplinks] == times(FIRST, 2)
    assert [uplink.payload for uplink in uplinks] == [line for _, line in server.lines[:2]]
    assert {uplink.device_id for uplink in uplinks} == {"soil-7"}


@pytest.mark.parametrize(
    ("text", "application"),
    [("roads@essen", Application("roads", "essen")), ("my-app-2", Application("my-app-2"))],
)
def test_applications_are_written_as_in_topics(text, application):
    assert Application.parse(text) == application
    assert str(application) == text
    assert application.topic("soil-7") == f"v3/{text}/devices/soil-7/up"


@pytest.mark.parametrize("text", ["", "Roads@essen", "a/b@t", "roads@", "roads@a@b", "-x@t", "roads?limit=1@t"])
def test_what_is_no_application_is_refused(text):
    with pytest.raises(SettingsError, match="expected application@tenant"):
        Application.parse(text)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "the API key is not valid"),
        (403, "RIGHT_APPLICATION_TRAFFIC_READ"),
        (404, "no such application"),
        (302, "expected 200"),
    ],
)
def test_a_refusal_is_one_sentence_without_the_key(server, status, told):
    server.faults.append(status)

    with pytest.raises(StorageApiError, match=told) as caught:
        fetch(server)

    assert not isinstance(caught.value, StorageApiAwayError)
    assert f"answered {status} for application roads" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(server.paths) == 1, "a redirect is not followed: the key would go along"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_told_apart(server, status):
    server.faults.append(status)
    server.retry_after_s = "7"

    with pytest.raises(StorageApiAwayError, match=f"answered {status}") as caught:
        fetch(server)

    assert caught.value.retry_after_s == (7.0 if status in (429, 503) else 0.0)


def test_a_server_that_is_not_there_may_come_back():
    nowhere = StorageApi("http://127.0.0.1:1", KEY, max_line_bytes=1000)

    with pytest.raises(StorageApiAwayError, match="cannot be reached"):
        list(nowhere.uplinks(ROADS, after=FIRST, limit=1))


@pytest.mark.parametrize("fault", ["cut", "error"])
def test_an_answer_that_ends_in_the_middle_gives_what_came_before(server, fault):
    fill(server, 10)
    server.faults.append(fault)
    uplinks = []

    with pytest.raises(StorageApiAwayError, match="in the middle" if fault == "cut" else "store is busy"):
        uplinks.extend(api(server).uplinks(ROADS, after=FIRST - timedelta(seconds=1), limit=1000))

    assert [uplink.received_at for uplink in uplinks] == times(FIRST, 5)


def test_a_web_page_is_no_answer(server):
    server.faults.append("html")

    with pytest.raises(StorageApiError, match="web page"):
        fetch(server)


def test_text_is_no_answer(server):
    server.lines.append((FIRST, b"not found"))

    with pytest.raises(StorageApiError, match="no JSON object a line"):
        fetch(server)


def test_a_line_that_is_no_uplink_is_passed_on(server):
    fill(server, 1)
    server.lines += [(FIRST + timedelta(seconds=1), b'{"result": {"received_at": 5}}'), (FIRST, b"\xff\x00")]
    server.lines.sort(key=lambda line: line[0])

    uplinks = fetch(server)

    assert [(uplink.device_id, uplink.received_at) for uplink in uplinks] == [
        ("soil-7", FIRST), (NO_DEVICE, None), (NO_DEVICE, None)
    ]  # fmt: skip


def test_an_overlong_line_is_cut_and_its_size_told(server):
    fill(server, 1)
    long = b'{"result": "' + b"x" * 300_000 + b'"}'
    server.lines.append((FIRST + timedelta(seconds=1), long))
    server.add(tts(received_at=rfc3339(FIRST + timedelta(seconds=2))))

    first, cut, last = fetch(server, max_line_bytes=2000)

    assert (cut.payload, cut.payload_bytes, cut.received_at) == (long[:2001], len(long), None)
    assert first.payload_bytes == len(first.payload)
    assert last.received_at == FIRST + timedelta(seconds=2)


def test_memory_does_not_grow_with_the_answer(server):
    server.most_a_page = 100_000
    fill(server, 5000)
    tracemalloc.start()
    try:
        with closing(api(server).uplinks(ROADS, after=FIRST - timedelta(seconds=1), limit=100_000)) as uplinks:
            list(islice(uplinks, 100))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert sum(1 for _ in uplinks) == 4900
            peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    sent = sum(len(line) for _, line in server.lines)
    assert sent > 3_000_000
    assert peak < 1_500_000


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_takes_is_refused_unseen(key):
    with pytest.raises(SettingsError, match="ROADTWIN_TTS_API_KEY") as caught:
        StorageApi("https://eu1.example", key, max_line_bytes=1000)

    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://eu1.example", "ftp://eu1.example", "https://", "https://u:p@eu1.example", "https://eu1.example/api"]
)
def test_an_address_that_is_not_safe_for_a_key_is_refused(url):
    with pytest.raises(SettingsError, match="ROADTWIN_TTS_URL: expected https://"):
        load_settings(tts_url=url)
