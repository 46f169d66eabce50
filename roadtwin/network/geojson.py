"""Road registers as GeoJSON: sections from LineStrings, with their coordinate reference system honoured or refused.

Attributes come from OpenStreetMap tags (a feature with `highway`), from usual register columns, or from the columns
that the caller names. What is not given stays unknown.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from roadtwin.errors import InputFileError, UnsupportedCrsError
from roadtwin.network.sections import (
    PLAUSIBLE_ATTRIBUTES,
    ROAD_CLASSES,
    Attributes,
    RoadSection,
    plausible_attribute,
)

OSM_CLASSES: dict[str, str] = {
    "trunk": "main",
    "primary": "main",
    "secondary": "main",
    "tertiary": "collector",
    "unclassified": "collector",
    "residential": "residential",
    "living_street": "residential",
    "service": "other",
}
"""Classes of OpenStreetMap's `highway` that a city's cars drive on → ours; a `…_link` counts as its road. Motorways
are left out: they are never a city's to maintain."""

_ID_COLUMNS = ("id", "ID", "osm_id", "IDENTIFIER", "STREET_ID", "NUMMER")
_NAME_COLUMNS = ("name", "NAME", "STRASSE", "STREET")
_AREA_MARGIN_DEG = 1.5  # how far data may reach beyond the area that a projected system is made for
_KMH_PER_MPH = 1.609344


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read. `source` is the register's short name in ids; columns left None are looked for by name.

    `crs` is for a file that does not state its own rightly (any name that PROJ knows, such as EPSG:25832).
    `drivable_only` leaves out OpenStreetMap ways that a city's cars do not drive on.
    """

    source: str
    id_column: str | None = None
    name_column: str | None = None
    class_column: str | None = None
    district_column: str | None = None
    crs: str | None = None
    drivable_only: bool = False


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Accounts of a file: features = sections + left_out + skipped − parts.

    `parts` sections came in addition, from features whose lines do not join; `renamed` ids were there already and got
    a suffix #2, #3, …; `without_id` got one from their geometry. `skipped` says by feature why it is no section.
    """

    features: int
    sections: int
    left_out: int
    parts: int
    renamed: int
    without_id: int
    skipped: tuple[str, ...]
    crs: str
    implausible: int


def read_geojson(content: bytes, options: ReadOptions) -> tuple[list[RoadSection], ReadReport]:
    """Sections of a FeatureCollection, one for each LineString, in the order of the file.

    Coordinates are longitude and latitude unless the file states another system in its `crs` member; then they are
    easting and northing in the order x, y and are transformed. A MultiLineString whose parts follow one another is one
    line; otherwise each part is a section of its own with `.1`, `.2`, … in its id.

    Raises UnsupportedCrsError when the system is unknown or the coordinates do not lie where it is made for, and
    InputFileError when this is no FeatureCollection or a column that was named is not there.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", options.source):
        raise InputFileError(f"got the source {options.source!r}, expected up to 40 letters, digits, - and _.")
    collection = _collection(content)
    transform, crs_name = _transformer(collection, options)
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    sections: list[RoadSection] = []
    for number, feature in enumerate(collection["features"], start=1):
        properties: Mapping[str, Any] = feature.get("properties") or {}
        if options.drivable_only and _osm_class(properties.get("highway")) is None:
            counts["left_out"] += 1
            continue
        lines = _lines(feature.get("geometry"))
        if isinstance(lines, str):
            skipped.append(f"feature {number}: {lines}")
            continue
        section = _section(feature, properties, lines, options, number, counts)
        if len(lines) == 1:
            sections.append(section)
            continue
        counts["parts"] += len(lines) - 1
        for part, line in enumerate(lines, start=1):
            sections.append(replace(section, source_section_id=f"{section.source_section_id}.{part}", line=line))
    sections = _placed(sections, transform, crs_name)
    sections, renamed = _with_unique_ids(sections)
    report = ReadReport(
        features=len(collection["features"]),
        sections=len(sections),
        left_out=counts["left_out"],
        parts=counts["parts"],
        renamed=renamed,
        without_id=counts["without_id"],
        skipped=tuple(skipped),
        crs=crs_name,
        implausible=sum(_implausible(section.attributes) for section in sections),
    )
    return sections, report


def _implausible(attributes: Attributes) -> int:
    """How many of the numbers no road has."""
    given = {name: getattr(attributes, name) for name in PLAUSIBLE_ATTRIBUTES}
    return sum(value is not None and math.isnan(plausible_attribute(name, value)) for name, value in given.items())


def _collection(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InputFileError(f"This is not JSON: {exc}.") from exc
    if not isinstance(value, dict) or value.get("type") != "FeatureCollection":
        raise InputFileError("This is not a GeoJSON FeatureCollection.")
    features = value.get("features")
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise InputFileError("The FeatureCollection has no list of features.")
    return value


def _transformer(collection: Mapping[str, Any], options: ReadOptions) -> tuple[Transformer | None, str]:
    """How to get to WGS 84 longitude and latitude (None: they are it), and the name of the system."""
    if options.crs is not None:
        name = options.crs
    elif "crs" not in collection:
        return None, "OGC:CRS84"  # RFC 7946
    else:
        name = _crs_name(collection["crs"])
    try:
        crs = CRS.from_user_input(name)
    except CRSError:
        raise UnsupportedCrsError(f"The coordinate reference system {name!r} is not known.") from None
    if crs.is_geographic and crs.to_2d().equals(CRS.from_epsg(4326), ignore_axis_order=True):
        return None, name
    if not (crs.is_projected or crs.is_geographic):
        raise UnsupportedCrsError(f"The coordinate reference system {name!r} is a {crs.type_name}: no place on a map.")
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True), name


def _crs_name(member: object) -> str:
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str):
        raise UnsupportedCrsError(
            f"The file states its coordinate reference system as {member!r}, not by name; say it with --crs."
        )
    return name


def _placed(sections: list[RoadSection], transform: Transformer | None, crs_name: str) -> list[RoadSection]:
    """All sections in WGS 84; refuses coordinates that the system cannot mean."""
    if not sections:
        return sections
    points = np.concatenate([section.line for section in sections])
    if transform is not None:
        x, y = transform.transform(points[:, 0], points[:, 1])
        points = np.column_stack([x, y])
    outside = ~(np.isfinite(points).all(axis=1) & (np.abs(points) <= [180.0, 90.0]).all(axis=1))
    area = transform.source_crs.area_of_use if transform is not None and transform.source_crs is not None else None
    if area is not None:
        outside |= (points < np.array([area.west, area.south]) - _AREA_MARGIN_DEG).any(axis=1)
        outside |= (points > np.array([area.east, area.north]) + _AREA_MARGIN_DEG).any(axis=1)
    if outside.any():
        starts = np.cumsum([0] + [len(section.line) for section in sections])
        index = int(np.searchsorted(starts, int(np.argmax(outside)), side="right")) - 1
        x0, y0 = sections[index].line[int(np.argmax(outside)) - starts[index]]
        raise UnsupportedCrsError(
            f"Section {sections[index].source_section_id}: the coordinates {x0:g}, {y0:g} cannot be in the coordinate "
            f"reference system of the file, {crs_name} ({int(outside.sum())} points of {len(points)} cannot)."
        )
    lines = np.split(points, np.cumsum([len(section.line) for section in sections])[:-1])
    return [replace(section, line=line) for section, line in zip(sections, lines, strict=True)]


def _lines(geometry: object) -> list[NDArray[np.float64]] | str:
    """The lines of a geometry (repeated points taken out), or why there is none."""
    if not isinstance(geometry, dict):
        return "it has no geometry"
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("LineString", "MultiLineString"):
        return f"it is a {kind}, expected LineString or MultiLineString"
    parts: Any = [coordinates] if kind == "LineString" else coordinates
    try:
        lines = [np.array([point[:2] for point in part], dtype=np.float64).reshape(-1, 2) for part in parts]
    except (TypeError, ValueError):
        return "its coordinates are not numbers"
    lines = [line[np.concatenate(([True], (np.diff(line, axis=0) != 0).any(axis=1)))] for line in lines if len(line)]
    lines = [line for line in lines if len(line) >= 2]
    if not lines:
        return "its line has no length"
    if not all(np.isfinite(line).all() for line in lines):
        return "its coordinates are not finite"
    if len(lines) > 1:
        merged = shapely.line_merge(shapely.MultiLineString(lines), directed=True)
        if merged.geom_type == "LineString":
            return [shapely.get_coordinates(merged)]
    return lines


def _section(
    feature: Mapping[str, Any],
    properties: Mapping[str, Any],
    lines: list[NDArray[np.float64]],
    options: ReadOptions,
    number: int,
    counts: Counter[str],
) -> RoadSection:
    section_id = _section_id(feature, properties, options, number)
    if section_id is None:
        counts["without_id"] += 1
        section_id = "noid-" + hashlib.sha256(np.round(lines[0], 6).tobytes()).hexdigest()[:10]
    named = _column(properties, options.name_column, number, _NAME_COLUMNS)
    district = _column(properties, options.district_column, number, ("district",))
    own = _own_columns(properties, number)
    return RoadSection(
        source=options.source,
        source_section_id=section_id,
        line=lines[0],
        name=_text(named),
        district=_text(district),
        road_class=_road_class(properties, options, number),
        owner=own.owner,
        maintenance_district=own.maintenance_district,
        warranty_until=own.warranty_until,
        inspection_interval_days=own.inspection_interval_days,
        attributes=_osm_attributes(properties) if "highway" in properties else own.attributes,
    )


class _OwnColumns(msgspec.Struct, frozen=True, kw_only=True):
    """What a register may say of a section under our own names."""

    owner: str | None = None
    maintenance_district: str | None = None
    warranty_until: date | None = None
    inspection_interval_days: int | None = None
    attributes: Attributes = Attributes()


_OWN_NAMES = frozenset(_OwnColumns.__struct_fields__) - {"attributes"}


def _own_columns(properties: Mapping[str, Any], number: int) -> _OwnColumns:
    """Raises InputFileError for a value that cannot be what its column says; an empty one is unknown."""
    given = {name: value for name, value in properties.items() if value is not None and value != ""}
    attributes = {name: given[name] for name in Attributes.__struct_fields__ if name in given}
    own = {name: given[name] for name in _OWN_NAMES if name in given}
    try:
        if "highway" in properties:  # tags of OpenStreetMap have names of their own, and "surface" another meaning
            return msgspec.convert(own, _OwnColumns, strict=False)
        return msgspec.convert({**own, "attributes": attributes}, _OwnColumns, strict=False)
    except msgspec.ValidationError as exc:
        raise InputFileError(f"Feature {number}: {str(exc).replace('$.attributes.', '').replace('$.', '')}.") from None


def _section_id(
    feature: Mapping[str, Any], properties: Mapping[str, Any], options: ReadOptions, number: int
) -> str | None:
    """The register's id as text; leading zeros stay. `osm_id` wins over "way/…": a slash has no place in an address."""
    if options.id_column is not None:
        return _text(_column(properties, options.id_column, number, ()))
    if "osm_id" in properties:
        return _text(properties["osm_id"])
    found = feature.get("id")
    return _text(found if found is not None else _column(properties, None, number, _ID_COLUMNS))


def _column(properties: Mapping[str, Any], column: str | None, number: int, usual: tuple[str, ...]) -> Any:
    if column is not None:
        if column not in properties:
            raise InputFileError(
                f"Feature {number} has no column {column!r}; it has {', '.join(properties) or 'none'}."
            )
        return properties[column]
    return next((properties[name] for name in usual if properties.get(name) is not None), None)


def _text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # an id that a program wrote as 17.0
    text = "" if value is None else str(value).strip()
    return text or None


def _road_class(properties: Mapping[str, Any], options: ReadOptions, number: int) -> str:
    if options.class_column is not None:
        given = _text(_column(properties, options.class_column, number, ())) or "other"
        if given in ROAD_CLASSES:
            return given
        return _osm_class(given) or "other"
    if properties.get("road_class") in ROAD_CLASSES:
        return str(properties["road_class"])
    return _osm_class(properties.get("highway")) or "other"


def _osm_class(highway: object) -> str | None:
    return OSM_CLASSES.get(highway.removesuffix("_link")) if isinstance(highway, str) else None


def _osm_attributes(tags: Mapping[str, Any]) -> Attributes:
    """A tag that is missing or no number is unknown (`maxspeed=walk` names no speed)."""
    lanes, rails = _number(tags.get("lanes")), _text(tags.get("embedded_rails"))
    return Attributes(
        surface=_text(tags.get("surface")),
        lanes=None if lanes is None else int(lanes),
        width_m=_number(tags.get("width")),
        speed_limit_kmh=_speed_kmh(tags.get("maxspeed")),
        tram_track=None if rails is None else rails != "no",
    )


def _number(value: object) -> float | None:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*m?\s*", str(value))
    return float(match[1]) if match and math.isfinite(float(match[1])) else None


def _speed_kmh(value: object) -> float | None:
    text = str(value)
    if text.endswith("mph"):
        speed_mph = _number(text.removesuffix("mph"))
        return None if speed_mph is None else round(speed_mph * _KMH_PER_MPH, 1)
    return _number(text.removesuffix("km/h"))


def _with_unique_ids(sections: list[RoadSection]) -> tuple[list[RoadSection], int]:
    """Ids that occur again get #2, #3, … in the order of their coordinates: that of the rows does not matter."""
    by_id: dict[str, list[int]] = {}
    for i, section in enumerate(sections):
        by_id.setdefault(section.source_section_id, []).append(i)
    unique, renamed = list(sections), 0
    for section_id, rows in by_id.items():
        for rank, i in enumerate(_in_order(sections, rows)):
            if rank:
                unique[i] = replace(sections[i], source_section_id=f"{section_id}#{rank + 1}")
                renamed += 1
    return unique, renamed


def _in_order(sections: list[RoadSection], rows: list[int]) -> Iterator[int]:
    yield from sorted(rows, key=lambda i: sections[i].line.ravel().tolist()) if len(rows) > 1 else rows
