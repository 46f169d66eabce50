"""Distress class codes on the wire: RDD's four, and our own where RDD has none. Unknown codes are rejected by name.

Sources: RDD2022 (doi:10.48550/arXiv.2209.08538) for the D codes; ASTM D6433 for the distress numbers.
Public detectors often mislabel these codes (D10 as alligator, D20 as pothole): this table is the only one we accept.
"""

from dataclasses import dataclass
from typing import Literal

ClassCode = Literal["D00", "D10", "D20", "D40", "D43", "D44", "D50", "PATCH", "JOINT", "RAVEL", "BLEED", "RUT", "DEPR"]


@dataclass(frozen=True, slots=True)
class DistressClass:
    """One class; `is_damage` is False for what a mask must take out (lids, worn lines)."""

    code: str
    label_de: str
    label_en: str
    astm_d6433_no: int | None
    is_damage: bool = True


DISTRESS_CLASSES: dict[str, DistressClass] = {
    c.code: c
    for c in (
        DistressClass("D00", "Längsriss", "Longitudinal crack", 10),
        DistressClass("D10", "Querriss", "Transverse crack", 10),
        DistressClass("D20", "Netzriss", "Alligator crack", 1),
        DistressClass("D40", "Schlagloch", "Pothole", 13),
        DistressClass("D43", "Überweg abgenutzt", "Worn cross-walk", None, is_damage=False),
        DistressClass("D44", "Markierung abgenutzt", "Worn line", None, is_damage=False),
        DistressClass("D50", "Schachtdeckel", "Manhole", None, is_damage=False),
        DistressClass("PATCH", "Flickstelle", "Patch", 11),
        DistressClass("JOINT", "Offene Arbeitsnaht", "Open joint", 10),
        DistressClass("RAVEL", "Ausmagerung", "Ravelling", 19),
        DistressClass("BLEED", "Bindemittelanreicherung", "Bleeding", 2),
        DistressClass("RUT", "Spurrinne", "Rut", 15),
        DistressClass("DEPR", "Absenkung", "Depression", 6),
    )
}
