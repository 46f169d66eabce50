"""Roadtwin: what the four folders share, and the command that wires them."""

__version__ = "0.1.0"
