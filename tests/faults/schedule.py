"""Faults in random order and at random times, by seed. Only faults under which the guarantee is: nothing lost.

Each breaks one part for some seconds at most and leaves it whole again. What a broker may lose by itself (killed
without a current snapshot) is no such fault; `test_broker.py` has it.
"""

import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.faults.databases import How, execute
from tests.faults.proxies import Trap
from tests.faults.rig import Rig

Fault = Callable[[Rig, Random], None]


def _ingester_killed(rig: Rig, chance: Random) -> None:
    rig.ingester.kill()
    time.sleep(chance.choice([0, 0, chance.uniform(0, 2)]))
    rig.ingester.start(wait=chance.random() < 0.7)


def _ingester_stopped(rig: Rig, chance: Random) -> None:
    if rig.ingester.running:
        rig.ingester.stop()
    rig.ingester.start()


def _ingester_frozen(rig: Rig, chance: Random) -> None:
    rig.ingester.freeze()
    time.sleep(chance.choice([chance.uniform(0.2, 2), 13]))  # the longer one outlasts the keep-alive
    rig.ingester.thaw()


def _ingester_doubled(rig: Rig, chance: Random) -> None:
    second = rig.make_ingester("second")
    try:
        second.start(wait=False)
        time.sleep(chance.uniform(2, 5))
    finally:
        second.close()


def _trapped_and_killed(trap: Trap) -> Fault:
    def fault(rig: Rig, chance: Random) -> None:
        rig.postgres.set_trap(trap)
        rig.postgres.wait_until_sprung(5)
        rig.ingester.kill()
        rig.postgres.cut()
        rig.postgres.release()
        rig.ingester.start()

    return fault


def _acknowledgements_held_and_killed(rig: Rig, chance: Random) -> None:
    rig.mqtt.acks.hold()
    rig.mqtt.acks.reached.wait(5)
    time.sleep(chance.uniform(0, 1))
    rig.ingester.kill()
    rig.mqtt.cut()
    rig.mqtt.acks.release()
    rig.ingester.start()


def _broker_restarted(rig: Rig, chance: Random) -> None:
    rig.broker.stop()
    time.sleep(chance.uniform(0, 2))
    rig.broker.start()


def _broker_frozen(rig: Rig, chance: Random) -> None:
    rig.broker.freeze()
    time.sleep(chance.choice([chance.uniform(0.2, 2), 12]))
    rig.broker.thaw()


def _broker_killed_after_its_snapshot(rig: Rig, chance: Random) -> None:
    rig.stream.pause()
    try:
        rig.broker.save()
        rig.broker.kill()
        rig.broker.start()
    finally:
        rig.stream.resume()


def _broker_connection_cut(rig: Rig, chance: Random) -> None:
    rig.mqtt.cut()


def _broker_connection_half_closed(rig: Rig, chance: Random) -> None:
    rig.mqtt.half_close()


def _broker_connection_stalled(rig: Rig, chance: Random) -> None:
    rig.mqtt.stalled.hold()
    time.sleep(chance.choice([chance.uniform(0.2, 2), 12]))
    rig.mqtt.stalled.release()


def _broker_refusing(rig: Rig, chance: Random) -> None:
    rig.mqtt.refusing.set()
    rig.mqtt.cut()
    time.sleep(chance.uniform(0.5, 3))
    rig.mqtt.refusing.clear()


def _database_connection_cut(rig: Rig, chance: Random) -> None:
    rig.postgres.cut()


def _database_connection_cut_at(trap: Trap) -> Fault:
    def fault(rig: Rig, chance: Random) -> None:
        rig.postgres.set_trap(trap)
        rig.postgres.wait_until_sprung(5)
        rig.postgres.release()

    return fault


def _database_connection_stalled(rig: Rig, chance: Random) -> None:
    rig.postgres.stalled.hold()
    time.sleep(chance.uniform(0.5, 8))
    rig.postgres.stalled.release()


def _database_restarted(how: How) -> Fault:
    def fault(rig: Rig, chance: Random) -> None:
        if chance.random() < 0.5:
            rig.postgres.set_trap("hold in COPY")
            rig.postgres.wait_until_sprung(5)
        rig.server.stop(how)
        rig.postgres.release()
        time.sleep(chance.uniform(0, 3))
        rig.server.start()

    return fault


def _database_read_only(rig: Rig, chance: Random) -> None:
    on, off = "ALTER SYSTEM SET default_transaction_read_only = on", "ALTER SYSTEM RESET default_transaction_read_only"
    execute(rig.admin_url(), on, "SELECT pg_reload_conf()")
    try:
        time.sleep(chance.uniform(0.5, 3))
    finally:
        execute(rig.admin_url(), "SET default_transaction_read_only = off", off, "SELECT pg_reload_conf()")


def _database_locked(rig: Rig, chance: Random) -> None:
    with rig.straight() as conn:
        conn.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        time.sleep(chance.choice([chance.uniform(0.2, 2), 9]))
        conn.rollback()


FAULTS: dict[str, Fault] = {
    "ingester killed": _ingester_killed,
    "ingester stopped": _ingester_stopped,
    "ingester frozen": _ingester_frozen,
    "ingester doubled": _ingester_doubled,
    "ingester killed before COMMIT": _trapped_and_killed("hold before COMMIT"),
    "ingester killed after COMMIT": _trapped_and_killed("hold after COMMIT"),
    "ingester killed in COPY": _trapped_and_killed("hold in COPY"),
    "ingester killed before PUBACK": _acknowledgements_held_and_killed,
    "broker restarted": _broker_restarted,
    "broker frozen": _broker_frozen,
    "broker killed after a snapshot": _broker_killed_after_its_snapshot,
    "broker connection cut": _broker_connection_cut,
    "broker connection half-closed": _broker_connection_half_closed,
    "broker connection stalled": _broker_connection_stalled,
    "broker refusing": _broker_refusing,
    "database connection cut": _database_connection_cut,
    "database connection cut before COMMIT": _database_connection_cut_at("cut before COMMIT"),
    "database connection cut after COMMIT": _database_connection_cut_at("cut after COMMIT"),
    "database connection stalled": _database_connection_stalled,
    "database restarted (fast)": _database_restarted("fast"),
    "database restarted (immediate)": _database_restarted("immediate"),
    "database killed": _database_restarted("kill"),
    "database read-only": _database_read_only,
    "database locked": _database_locked,
}


class Schedule:
    """An endless random order of faults; every fault comes once before any comes again. Counts what was injected."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig = rig
        self._chance = Random(seed)
        self._left: list[str] = []
        self.injected: Counter[str] = Counter()
        self.ended_by_itself: list[str] = []
        """Last words of every ingester that was found gone though nobody had ended it."""

    def inject_next(self, *, pause_s: tuple[float, float] = (0.2, 3.0)) -> str:
        """Wait a random while, inject the next fault, and give its name; the parts are whole again afterwards."""
        if not self._left:
            self._left = list(FAULTS)
            self._chance.shuffle(self._left)
        time.sleep(self._chance.uniform(*pause_s))
        name = self._left.pop()
        FAULTS[name](self._rig, self._chance)
        self.injected[name] += 1
        self.revive()
        return name

    def revive(self) -> None:
        """Start the ingester again where it has ended by itself, as a process manager would, and write it down."""
        if not self._rig.ingester.running:
            self.ended_by_itself.append(self._rig.ingester.last_words())
            self._rig.ingester.start(wait=False)
