"""Coverage-guided fuzzing of every wire format and payload codec, with Atheris (libFuzzer for Python).

python benchmarks/fuzz_formats.py [CORPUS] [-max_total_time=300] [-max_len=4096]

Atheris is no dependency of ours: `pip install atheris` into an environment of its own that also has Roadtwin. Options
are libFuzzer's; new inputs that reach new code are kept in the folder CORPUS. The first byte of an input chooses the
topic or codec, the rest is the payload. Whatever arrives must give an envelope or a MessageRejectedError (a codec:
frames or a CodecError) within a second; anything else is a finding, and its input is written to `crash-…`.
docs/reference/fuzzing.md holds the results.
"""

import json
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

with atheris.instrument_imports(include=["ingest", "roadtwin.records"]):
    from ingest import codecs
    from ingest.decode import Decoder
    from ingest.formats import chirpstack_v4_protobuf
    from ingest.formats.examples import EXAMPLES
    from ingest.profile import load_profiles
    from ingest.pseudonyms import Pseudonyms
from roadtwin.errors import CodecError, MessageRejectedError
from roadtwin.types import DeviceKey

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
MOST_S = 1.0
V4 = "application/8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01/device/70b3d57ed0051234/event/"
TOPICS = (
    *(V4 + kind for kind in ("up", "join", "status", "log", "ack", "txack", "location", "integration", "error", "?")),
    "application/12/device/70b3d57ed0051234/rx",
    "v3/8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01@city/devices/bridge-4/up",
    "roadtwin/v1/sensors/gully-12/readings",
    "roadtwin/v1/vehicles/truck-7/readings",
    "eu868/gateway/0016c001f153a14c/event/up",
    "any/topic",
)
OTHER_EVENTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("up", {"fPort": 85, "fCnt": 3, "data": "AXVaA2fJ/w==", "rxInfo": [{"gatewayId": "a", "timeSinceGpsEpoch": "1s"}]}),
    ("join", {"devAddr": "01ab23cd"}),
    ("status", {"margin": 5, "batteryLevel": 50.5}),
    ("log", {"level": "ERROR", "code": "UPLINK_MIC", "description": "d", "context": {"a": "b"}}),
    ("ack", {"queueItemId": "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de", "acknowledged": True, "fCntDown": 3}),
    ("txack", {"downlinkId": 7, "gatewayId": "0016c001f1000001"}),
    ("location", {"location": {"latitude": 51.4, "longitude": 7.0}}),
    ("integration", {"integrationName": "loracloud", "eventType": "x"}),
)
CODECS = codecs.all_codecs()
PROFILES = load_profiles()
# A profile with a codec for the device of the examples, so that frames without a decoded object reach one.
WITH_CODEC = next(name for name in PROFILES.names() if (profile := PROFILES.find(name)) and profile.codec)
DECODER = Decoder(
    PROFILES,
    Pseudonyms(b"a key that only fuzzing knows", ZoneInfo("Europe/Berlin")),
    max_payload_bytes=1_048_576,
    registered_profiles={
        DeviceKey("chirpstack-v4", "8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01", "70b3d57ed0051234"): WITH_CODEC,
        DeviceKey("tts-v3", "8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01@city", "bridge-4"): WITH_CODEC,
    },
)


def fuzz_one(data: bytes) -> None:
    """One input: a topic or a codec, and what it gets."""
    if not data:
        return
    began = time.monotonic()
    target, payload = data[0], data[1:]
    if target < len(TOPICS):
        _decode(TOPICS[target], payload)
    else:
        codec = CODECS[target % len(CODECS)]
        with suppress(CodecError):
            codec.decode(payload[0] if payload else 1, payload[1:])
    if time.monotonic() - began > MOST_S:
        raise RuntimeError(f"took {time.monotonic() - began:.1f} s")


def _decode(topic: str, payload: bytes) -> None:
    try:
        DECODER.decode(topic, payload, AT)
    except MessageRejectedError as exc:
        DECODER.rejected(topic, payload, AT, exc.code, str(exc))


def write_seeds(folder: Path) -> None:
    """The examples of the formats and codecs as first inputs, and ChirpStack's other events in both encodings."""
    folder.mkdir(parents=True, exist_ok=True)
    info = {"applicationId": "8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01", "devEui": "70b3d57ed0051234"}
    for number, (kind, members) in enumerate(OTHER_EVENTS):
        event = {"time": "2026-03-10T11:59:58Z", "deviceInfo": info} | members
        payloads = (json.dumps(event).encode(), chirpstack_v4_protobuf.encode(kind, event))
        topic = TOPICS.index(V4 + kind)
        for encoding, payload in enumerate(payloads):
            (folder / f"seed-event-{number}-{encoding}").write_bytes(bytes([topic]) + payload)
    for number, topic in enumerate(TOPICS):
        for name, example in EXAMPLES.items():
            if example.topic == topic or topic in (V4 + "?", "any/topic"):
                (folder / f"seed-{number}-{name}").write_bytes(bytes([number]) + example.payload)
    for target in range(len(TOPICS), 256):
        codec = CODECS[target % len(CODECS)]
        for number, example in enumerate(codec.examples):
            payload = bytes([example.f_port]) + bytes.fromhex(example.payload_hex)
            (folder / f"seed-codec-{target}-{number}").write_bytes(bytes([target]) + payload)


def write_words(folder: Path) -> Path:
    """The names of members in the first inputs, as a dictionary of libFuzzer; beside the folder."""
    texts = [path.read_bytes() for path in folder.glob("seed-*")]
    words = sorted({word.decode() for text in texts for word in re.findall(rb'"(\w+)":', text)})
    path = folder.with_suffix(".dict")
    path.write_text("".join(f'"\\"{word}\\":"\n' for word in words))
    return path


if __name__ == "__main__":
    corpus = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if corpus:
        write_seeds(Path(corpus[0]))
        sys.argv.append(f"-dict={write_words(Path(corpus[0]))}")
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
