"""Severity of a pothole from its size, as ASTM D6433 grades distress 13."""

import math

UNKNOWN_SEVERITY = 2
# Rows: depth 13–25, 25–50, > 50 mm; columns: width up to 200, 450, above [mm] (ASTM D6433, distress 13).
_SEVERITY = ((1, 1, 2), (1, 2, 3), (2, 2, 3))


def measured_severity(depth_m: float, width_m: float) -> int:
    """Severity of a hole from its size, 0 when neither is known.

    Parameters
    ----------
    depth_m, width_m : float
        Largest depth and width, NaN when unknown. [m]

    Returns
    -------
    int
        1 low, 2 medium, 3 high; with one of the two unknown, the middle class of it is taken.

    References
    ----------
    .. [1] ASTM D6433, distress 13 (potholes), levels of severity.

    Examples
    --------
    >>> measured_severity(0.06, 0.5), measured_severity(0.02, 0.15), measured_severity(float("nan"), 0.5)
    (3, 1, 3)
    """
    if math.isnan(depth_m) and math.isnan(width_m):
        return 0
    depth_class = 1 if math.isnan(depth_m) else 0 if depth_m <= 0.025 else 1 if depth_m <= 0.05 else 2
    width_class = 1 if math.isnan(width_m) else 0 if width_m <= 0.2 else 1 if width_m <= 0.45 else 2
    return _SEVERITY[depth_class][width_class]
