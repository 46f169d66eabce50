"""How far back features look. Whoever loads only what they need reads it here."""

HISTORY_DAYS = 200
"""Of weather: the longest window (180 d) and what its first days need [d]."""
CAMERA_DAYS = 180
"""Of segment-days, today's the last; of each segment also the last day before with a good pass [d]."""
