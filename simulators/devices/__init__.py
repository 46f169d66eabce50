"""Sensors: which, where, what they measure, how they fail."""
