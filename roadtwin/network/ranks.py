"""Attributes of the road register as numbers."""

PAVEMENT_CLASSES = ("bk0.3", "bk1.0", "bk1.8", "bk3.2", "bk10", "bk32", "bk100")
"""Classes of RStO 12, from the lightest traffic to the heaviest."""
DRAINAGE = ("good", "fair", "poor")


def pavement_rank(name: object) -> float:
    """Rank of an RStO class, also written with a decimal comma; NaN for what is none.

    Examples
    --------
    >>> pavement_rank("Bk3,2"), pavement_rank(None)
    (3.0, nan)
    """
    text = str(name).strip().lower().replace(",", ".").replace(" ", "")
    return float(PAVEMENT_CLASSES.index(text)) if text in PAVEMENT_CLASSES else float("nan")


def drainage_rank(name: object) -> float:
    """0 good, 1 fair, 2 poor; NaN for anything else.

    Examples
    --------
    >>> drainage_rank("fair"), drainage_rank(None)
    (1.0, nan)
    """
    return float(DRAINAGE.index(str(name))) if name in DRAINAGE else float("nan")
