"""What generic gateways publish for sensors behind them: SenML packs (RFC 8428) on
`roadtwin/v1/sensors/{device}/readings`.

Names are quantities, units those of SenML: which field is which quantity at which depth, the sensor's profile says. The
clock of such a gateway drifts, and is set once a week.
"""

from functools import lru_cache

import numpy as np

from ingest.profile import load_profiles
from roadtwin.units import QUANTITIES
from simulators.devices.sensors import Uplinks
from simulators.world import World

_WEEK_US = 7 * 86_400_000_000
_DRIFT_PPM = 15.0
_DECIMALS = 6


class SenMl:
    """Writes packs."""

    def __init__(self, world: World) -> None:
        self._world = world
        u = world.streams.uniforms("senml/clock", np.arange(len(world.devices)), 0, 2)
        self._drift = (2 * u[0] - 1) * _DRIFT_PPM * 1e-6
        self._set_us = (u[1] * _WEEK_US).astype(np.int64)

    def topic(self, number: int) -> str:
        """Topic of a device's packs."""
        return f"roadtwin/v1/sensors/{self._world.devices[number].device}/readings"

    def packs(self, uplinks: Uplinks) -> list[bytes]:
        """A pack for each uplink."""
        fields, text = _template(uplinks.kind.profile_name)
        since_set_us = (uplinks.at_us - self._set_us[uplinks.device]) % _WEEK_US
        told_us = uplinks.at_us + (self._drift[uplinks.device] * since_set_us).astype(np.int64)
        columns = [
            np.round(uplinks.values[name] * factor + offset, _DECIMALS).tolist() for name, factor, offset in fields
        ]
        devices = [self._world.devices[number].device.encode() for number in uplinks.device.tolist()]
        times = (told_us // 1000 / 1000).tolist()
        return [text % row for row in zip(devices, times, *columns, strict=True)]


@lru_cache(maxsize=32)
def _template(profile_name: str) -> tuple[list[tuple[str, float, float]], bytes]:
    """Fields of a profile with factor and offset to the unit of their quantity, and the text of a pack."""
    profile = load_profiles().find(profile_name)
    assert profile is not None, "named by a kind of device"
    records, fields = [], []
    for step in profile.steps:
        if step.key is None:
            continue
        name = f"{step.channel}/{step.quantity}" if step.channel else step.quantity
        name = name if step.depth_cm is None else f"{name}:{step.depth_cm}"
        records.append(
            b'"n":"%s","u":"%s","v":%%a'
            % (name.encode(), QUANTITIES[step.quantity].senml_unit.replace("%", "%%").encode())
        )
        fields.append((step.key, step.factor, step.offset))
    return fields, b'[{"bn":"%b/","bt":%a,' + b"},{".join(records) + b"}]"
