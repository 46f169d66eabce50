"""How much work a call is, in a number that is the same on every machine, however busy: seconds are not."""

import sys
from collections.abc import Callable


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that a call runs, and calls, returns and exceptions among them."""
    taken, before = 0, sys.gettrace()

    def trace(_frame: object, _event: str, _argument: object) -> object:
        nonlocal taken
        taken += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return taken
