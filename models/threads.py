"""How many threads the libraries below numpy and scikit-learn may use."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _pools() -> ThreadpoolController:
    """The thread pools of this process; finding them reads its memory map, so it is done once."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """BLAS and OpenMP with one thread: their idle threads spin, which on a machine that also runs a database and an
    ingester made fitting four to ten times slower where two threads alone gain a third."""
    limit: AbstractContextManager[object] = _pools().limit(limits=1)
    return limit
