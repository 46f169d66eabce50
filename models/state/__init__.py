"""State of a segment as known at a time: what sensors, weather, cameras and people say of it, with its uncertainty.

Pure functions, arrays in and arrays out. NaN is *unknown*; a standard deviation (sd) says how far the truth may be.
Equations, constants and their sources: `docs/reference/twin-state.md`.
"""
