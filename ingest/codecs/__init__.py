"""Payload codecs: from the bytes of a LoRaWAN device to named fields, and back.

The network server usually decodes already; its fields are preferred. Where it has no codec, the one that the device's
sensor profile names decodes here. A codec yields the vendor's own field names, so one profile fits both.

Examples
--------
>>> codec = find("decentlab/dl-ctd10")
>>> codec.decode(1, bytes.fromhex("02000100020bb8"))[0].fields
{'device_id': 1, 'protocol_version': 2, 'battery_voltage': 3.0}
"""

from ingest.codecs.codec import Codec, FieldDoc, Frame
from ingest.codecs.registry import all_codecs, families, find, names
from roadtwin.errors import CodecError

__all__ = ["Codec", "CodecError", "FieldDoc", "Frame", "all_codecs", "families", "find", "names"]
