"""Vehicle readings on the wire: what a camera box publishes on `roadtwin/v1/vehicles/{vehicle_id}/readings`.

One JSON object per pass over about 10 m, or per second. An empty list of detections is the *nothing seen* heartbeat and
counts as exposure. The vehicle's id stands in the topic only, never in the object. Unknown fields are refused.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from roadtwin.records.classes import ClassCode

Share = Annotated[float, Meta(ge=0, le=1)]
ShortWord = Annotated[str, Meta(min_length=1, max_length=100)]
Pixels = Annotated[float, Meta(ge=0, le=20_000)]
ImageEdge = Annotated[int, Meta(ge=1, le=20_000)]


class WirePosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """WGS 84 position of the vehicle, and its horizontal accuracy (1 σ) [m]."""

    lon: Annotated[float, Meta(ge=-180, le=180, description="Longitude, WGS 84 [°].")]
    lat: Annotated[float, Meta(ge=-90, le=90, description="Latitude, WGS 84 [°].")]
    accuracy_m: Annotated[float, Meta(ge=0, le=1000, description="1 σ, horizontal [m].")] | None = None


class WireFrameQuality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fit the frame was for detection: 0 … 1 each."""

    blur: Annotated[float, Meta(ge=0, le=1, description="0 sharp … 1 useless.")]
    wet: Annotated[float, Meta(ge=0, le=1, description="0 dry … 1 water covers the road.")]
    light: Annotated[float, Meta(ge=0, le=1, description="0 dark … 1 full daylight.")]


class WireCamera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which detector looked, and how well it could see."""

    model: ShortWord
    version: ShortWord
    frame_quality: WireFrameQuality


class WireDetection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One distress that the detector reported."""

    class_code: ClassCode
    confidence: Share
    bbox_px: Annotated[
        tuple[Pixels, Pixels, Pixels, Pixels],
        Meta(description="x_min, y_min, x_max, y_max in the image, origin top left [px]."),
    ]
    image_size_px: Annotated[tuple[ImageEdge, ImageEdge], Meta(description="Width, height [px].")]
    width_m: Annotated[float, Meta(ge=0, le=50, description="Across the road [m].")] | None = None
    length_m: Annotated[float, Meta(ge=0, le=200, description="Along the road [m].")] | None = None
    depth_m: Annotated[float, Meta(ge=0, le=2, description="[m]")] | None = None
    area_m2: Annotated[float, Meta(ge=0, le=1000, description="[m²]")] | None = None
    track_id: ShortWord | None = None


class WireImu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Vertical acceleration over the stretch, gravity taken out."""

    accel_rms_mps2: Annotated[float, Meta(ge=0, le=200, description="[m/s²]")]
    accel_peak_mps2: Annotated[float, Meta(ge=0, le=2000, description="[m/s²]")]
    sample_rate_hz: Annotated[float, Meta(gt=0, le=100_000, description="[Hz]")]


class WireVehicleReading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vehicle reading as published."""

    event_id: Annotated[UUID, Meta(description="Made once by the sender; sent again, the reading changes nothing.")]
    schema_version: Literal[1]
    observed_at: Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset.")]
    position: WirePosition
    heading_deg: Annotated[float, Meta(ge=0, lt=360, description="Clockwise from north [°].")] | None = None
    speed_mps: Annotated[float, Meta(ge=0, le=70, description="[m/s]")]
    pass_id: Annotated[
        str, Meta(min_length=1, max_length=100, description="Same for all readings of one drive; not the vehicle's id.")
    ]
    camera: WireCamera
    detections: Annotated[tuple[WireDetection, ...], Meta(max_length=200)]
    imu: WireImu | None = None
    lane: Annotated[int, Meta(ge=0, le=20, description="0 is the one at the right-hand kerb.")] | None = None
    image_ref: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,299}$",
                description="Where the anonymised store keeps the image.",
            ),
        ]
        | None
    ) = None
