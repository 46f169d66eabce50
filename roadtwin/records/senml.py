"""SenML packs (RFC 8428, JSON) as generic sensors publish them on `roadtwin/v1/sensors/{device_id}/readings`."""

from typing import Annotated

import msgspec
from msgspec import Meta

MAX_RECORDS = 1000

Name = Annotated[str, Meta(max_length=300)]
Unit = Annotated[str, Meta(max_length=30)]


class SenmlRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One record, with the labels of RFC 8428 §4. Labels that end in "_" must be understood, and we know none."""

    bn: Name | None = None
    bt: float | None = None
    bu: Unit | None = None
    bv: float | None = None
    bs: float | None = None
    bver: Annotated[int, Meta(ge=1)] | None = None
    n: Name = ""
    u: Unit | None = None
    v: float | None = None
    vs: str | None = None
    vb: bool | None = None
    vd: str | None = None
    s: float | None = None
    t: float = 0.0
    ut: float | None = None


SenmlPack = Annotated[list[SenmlRecord], Meta(min_length=1, max_length=MAX_RECORDS)]
