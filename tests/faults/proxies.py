"""TCP proxies before broker and database that watch what passes, and stall, cut or half-close it at a chosen point."""

import contextlib
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Literal

from tests.faults.wire import (
    MQTT_CONNACK,
    MQTT_CONNECT,
    MQTT_PUBACK,
    MQTT_PUBLISH,
    MQTT_SUBACK,
    Delivery,
    PostgresFrames,
    is_commit,
    is_copy_data,
    is_copy_done,
    mqtt_protocol,
    mqtt_type,
    puback_id,
    read_publish,
    take_mqtt_frames,
)

CHUNK_BYTES = 65536
POLL_S = 0.02
Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class Link:
    """One proxied connection: `client` is the ingester's end, `server` the broker's or the database's."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.cut_off = threading.Event()
        self._pumps_left = 2
        self._lock = threading.Lock()

    def cut(self) -> None:
        """End both sides now; bytes held back are dropped."""
        self.cut_off.set()
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def half_close(self) -> None:
        """Tell the ingester that nothing more will come, and go on taking what it sends."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)

    def pump_ended(self) -> None:
        """The second of both directions closes the sockets: until then their numbers must not be used again."""
        with self._lock:
            self._pumps_left -= 1
            last = self._pumps_left == 0
        if last:
            self.client.close()
            self.server.close()


class Gate:
    """A place where bytes can be held back."""

    def __init__(self) -> None:
        self._held = threading.Event()
        self.reached = threading.Event()
        """Set while somebody waits here."""

    def hold(self) -> None:
        """Let nothing pass from now on."""
        self.reached.clear()
        self._held.set()

    def release(self) -> None:
        """Let everything pass."""
        self._held.clear()

    def pass_through(self, link: Link) -> bool:
        """Wait while the gate is held; False when the connection was cut meanwhile."""
        while self._held.is_set() and not link.cut_off.is_set():
            self.reached.set()
            time.sleep(POLL_S)
        return not link.cut_off.is_set()


class Proxy(ABC):
    """Listens on a port of its own for as long as it lives; the target may go away and come back.

    Subclasses watch the two directions of a link. A watcher gets what was received, and gives what to forward now;
    it may block, and None ends the link.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.refusing = threading.Event()
        """While set, connections are closed as soon as they are made."""
        self.stalled = Gate()
        self.connections = 0
        self._links: list[Link] = []
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        """Cut every connection and stop listening."""
        self._closing.set()
        self.stalled.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Cut every connection there is."""
        for link in list(self._links):
            link.cut()

    def half_close(self) -> None:
        """Half-close every connection there is, towards the ingester."""
        for link in list(self._links):
            link.half_close()

    @abstractmethod
    def watchers(self, link: Link) -> tuple["Watcher", "Watcher"]:
        """What watches the bytes to the server and those to the client."""

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            server = None if self.refusing.is_set() else self._connect()
            if server is None:
                client.close()
                continue
            for side in (client, server):
                if side.family != socket.AF_UNIX:
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(client, server)
            self.connections += 1
            self._links.append(link)
            to_server, to_client = self.watchers(link)
            self._start(self._pump, link, client, server, to_server)
            self._start(self._pump, link, server, client, to_client)

    def _connect(self) -> socket.socket | None:
        family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        try:
            server.connect(self._target)
        except OSError:
            server.close()
            return None
        return server

    def _pump(self, link: Link, source: socket.socket, sink: socket.socket, watch: "Watcher") -> None:
        try:
            while data := source.recv(CHUNK_BYTES):
                if not self.stalled.pass_through(link):
                    return
                forward = watch(data)
                if forward is None or link.cut_off.is_set():
                    return
                sink.sendall(forward)
        except OSError:
            pass  # one of both ends is gone: that is what this proxy is for
        finally:
            self.stalled.pass_through(link)  # a network that stalls does not pass the end of a connection on either
            link.cut()
            with contextlib.suppress(ValueError):
                self._links.remove(link)
            link.pump_ended()


Watcher = Callable[[bytes], bytes | None]


class AckOrder:
    """PUBACKs of one connection against its PUBLISH packets: each once, in the order of receipt [MQTT-4.6.0-2]."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self.violations: list[str] = []

    @property
    def outstanding(self) -> int:
        """Messages delivered and not acknowledged."""
        return len(self._waiting)

    def delivered(self, packet_id: int) -> None:
        """A PUBLISH at QoS 1 goes to the client."""
        self._waiting.append(packet_id)

    def acknowledged(self, packet_id: int) -> None:
        """The client's PUBACK; a violation is written down with what was expected."""
        if self._waiting and self._waiting[0] == packet_id:
            self._waiting.popleft()
            return
        expected = self._waiting[0] if self._waiting else None
        self.violations.append(f"PUBACK {packet_id}, expected {expected} ({len(self._waiting)} outstanding)")
        with contextlib.suppress(ValueError):
            self._waiting.remove(packet_id)


class MqttProxy(Proxy):
    """Between ingester and broker: knows what was delivered and acknowledged, can hold the acknowledgements back."""

    def __init__(self, target: Target) -> None:
        self.acks, self.subacks = Gate(), Gate()
        self.delivered: set[bytes] = set()
        """SHA-256 of every payload that was forwarded to the ingester."""
        self.deliveries = self.redeliveries = self.acknowledged = 0
        self.sessions_present: list[bool] = []
        """What each CONNACK said about the session."""
        self._orders: list[AckOrder] = []
        super().__init__(target)

    @property
    def order_violations(self) -> list[str]:
        """Every PUBACK that was out of order or for nothing, over all connections."""
        return [f"connection {n}: {text}" for n, order in enumerate(self._orders, 1) for text in order.violations]

    @property
    def outstanding(self) -> int:
        """Messages of the newest connection that are delivered and not acknowledged."""
        return self._orders[-1].outstanding if self._orders else 0

    def watchers(self, link: Link) -> tuple[Watcher, Watcher]:
        order, protocol = AckOrder(), [5]
        self._orders.append(order)
        up, down = bytearray(), bytearray()

        def to_server(data: bytes) -> bytes | None:
            up.extend(data)
            frames = take_mqtt_frames(up)
            for frame in frames:
                if mqtt_type(frame) == MQTT_CONNECT:
                    protocol[0] = mqtt_protocol(frame)
                elif mqtt_type(frame) == MQTT_PUBACK:
                    if not self.acks.pass_through(link):
                        return None
                    order.acknowledged(puback_id(frame))
                    self.acknowledged += 1
            return b"".join(frames)

        def to_client(data: bytes) -> bytes | None:
            down.extend(data)
            frames = take_mqtt_frames(down)
            for frame in frames:
                if mqtt_type(frame) == MQTT_PUBLISH:
                    self._deliver(read_publish(frame, protocol[0]), order)
                elif mqtt_type(frame) == MQTT_CONNACK:
                    self.sessions_present.append(bool(frame[2] & 1))
                elif mqtt_type(frame) == MQTT_SUBACK and not self.subacks.pass_through(link):
                    return None
            return b"".join(frames)

        return to_server, to_client

    def _deliver(self, delivery: Delivery, order: AckOrder) -> None:
        self.deliveries += 1
        self.redeliveries += delivery.duplicate
        self.delivered.add(delivery.payload_sha256)
        if delivery.packet_id:
            order.delivered(delivery.packet_id)


Trap = Literal["cut before COMMIT", "cut after COMMIT", "hold before COMMIT", "hold after COMMIT", "hold in COPY"]


class PostgresProxy(Proxy):
    """Between ingester and database: a trap springs once, at the next COMMIT (or COPY) of a batch.

    "before": the server never sees the COMMIT. "after": the server has committed, and the client never hears of it.
    "cut" ends the connection there; "hold" keeps it until `release` (the bytes go on) or `cut` (they are dropped).
    """

    def __init__(self, target: Target) -> None:
        self._trap: Trap | None = None
        self._trap_lock = threading.Lock()
        self._gate = Gate()
        self.sprung = threading.Event()
        super().__init__(target)

    def set_trap(self, trap: Trap) -> None:
        """Arm for the next batch."""
        with self._trap_lock:
            self.sprung.clear()
            self._gate.hold()
            self._trap = trap

    def wait_until_sprung(self, within_s: float = 15.0) -> bool:
        """Whether the ingester has run into the trap; if not, it is taken away."""
        caught = self.sprung.wait(within_s)
        if not caught:
            self.release()
        return caught

    def release(self) -> None:
        """Take the trap away and let pass what it holds."""
        with self._trap_lock:
            self._trap = None
        self._gate.release()

    def _springs(self, *traps: Trap) -> Trap | None:
        with self._trap_lock:
            if self._trap not in traps:
                return None
            trap, self._trap = self._trap, None
            return trap

    def watchers(self, link: Link) -> tuple[Watcher, Watcher]:
        frames, up = PostgresFrames(), bytearray()
        after: list[Trap] = []  # set once COMMIT went to the server: its answer must not come back
        batch = False

        def to_server(data: bytes) -> bytes | None:
            nonlocal batch
            up.extend(data)
            taken = frames.take(up)
            for number, frame in enumerate(taken):
                batch = batch or is_copy_done(frame)
                trap: Trap | None = None
                if is_copy_data(frame):
                    trap = self._springs("hold in COPY")
                elif is_commit(frame):
                    if batch:
                        trap = self._springs("cut before COMMIT", "hold before COMMIT")
                        if trap is None and (late := self._springs("cut after COMMIT", "hold after COMMIT")):
                            after.append(late)
                    batch = False
                if trap is not None:
                    self._forward(link, taken[:number])
                    self.sprung.set()
                    if trap == "cut before COMMIT" or not self._gate.pass_through(link):
                        return None
                    return b"".join(taken[number:])
            return b"".join(taken)

        def to_client(data: bytes) -> bytes | None:
            if after and b"COMMIT\x00" in data:
                trap = after.pop()
                self.sprung.set()
                if trap == "cut after COMMIT" or not self._gate.pass_through(link):
                    return None
            return data

        return to_server, to_client

    @staticmethod
    def _forward(link: Link, frames: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            link.server.sendall(b"".join(frames))
