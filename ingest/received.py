"""Messages as the broker delivered them, with what acknowledges them."""

from datetime import datetime

import msgspec


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message before decoding.

    `epoch` and `mid` acknowledge it: the connection it came by, and its packet id there. QoS 0, a journal and files
    need none. `duplicate` is the broker's DUP mark. `topic` is text; bytes that are no UTF-8 stand in it as \\xNN.
    """

    topic: str
    payload: bytes
    recorded_at: datetime
    retained: bool = False
    duplicate: bool = False
    qos: int = 0
    epoch: int = 0
    mid: int = 0
