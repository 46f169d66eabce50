"""Whether the faults of a scenario concern anything in a city: a name that fits nothing would silently do nothing."""

from collections.abc import Iterable

from roadtwin.errors import SimulationError
from simulators.scenario import DeviceFault, ReportSurge, Scenario, VehicleFault
from simulators.scenario_errors import nearest

VEHICLE_NAMES = ("bus-", "kontrolle-", "muell-")
"""What names of vehicles begin with (`simulators.vehicles.fleet`)."""


def check_names(scenario: Scenario, profiles: Iterable[str], districts: Iterable[str]) -> None:
    """Raise SimulationError for a fault that concerns nothing, since no profile, vehicle or district is called so.

    `profiles` are those of the devices that a city can have, `districts` those that this one has.
    """
    known, places = sorted(set(profiles)), sorted(set(districts))
    for number, fault in enumerate(scenario.fault, start=1):
        where = f"Scenario {scenario.name}: fault {number}"
        if isinstance(fault, DeviceFault) and not any(fault.devices in profile for profile in known):
            raise SimulationError(
                f"{where}.devices: got {fault.devices!r}, expected a part of {', '.join(known)}"
                f"{nearest(fault.devices, known)}."
            )
        if isinstance(fault, VehicleFault) and not any(_alike(fault.vehicles, name) for name in VEHICLE_NAMES):
            names = ", ".join(f"{name}01" for name in VEHICLE_NAMES)
            raise SimulationError(
                f"{where}.vehicles: got {fault.vehicles!r}, expected how a name begins, such as {names}."
            )
        if isinstance(fault, ReportSurge) and fault.district and fault.district not in places:
            raise SimulationError(
                f"{where}.district: got {fault.district!r}, expected one of {', '.join(places)}"
                f"{nearest(fault.district, places)}."
            )


def _alike(begin: str, name: str) -> bool:
    return name.startswith(begin) or begin.startswith(name)
