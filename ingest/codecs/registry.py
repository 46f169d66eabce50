"""Every codec by its name."""

from functools import cache

from ingest.codecs import (
    abeeway,
    cayenne,
    decentlab,
    digital_matter,
    dragino,
    elsys,
    milesight,
    parametric,
    tektelic,
)
from ingest.codecs.codec import Codec

_FAMILIES = (abeeway, cayenne, decentlab, digital_matter, dragino, elsys, milesight, parametric, tektelic)


@cache
def _by_name() -> dict[str, Codec]:
    codecs: list[Codec] = [codec for family in _FAMILIES for codec in family.CODECS]
    table = {codec.name: codec for codec in codecs}
    assert len(table) == len(codecs), "two codecs have the same name"
    return dict(sorted(table.items()))


def find(name: str | None) -> Codec | None:
    """The codec of this name, like "decentlab/dl-cws2"; None when there is none.

    Scales that are calibrated one by one carry their numbers in the name (`decentlab.scale_codec`).
    """
    return (_by_name().get(name) or decentlab.scale_codec(name)) if name else None


def names() -> list[str]:
    """The name of every codec, sorted."""
    return list(_by_name())


def families() -> dict[str, str]:
    """What each family's payloads look like, by the family's name."""
    return {family.CODECS[0].family: (family.__doc__ or "").strip() for family in _FAMILIES}


def all_codecs() -> tuple[Codec, ...]:
    """Every codec, sorted by name."""
    return tuple(_by_name().values())
