"""Random numbers that depend on what they are for, never on the order in which they are drawn.

Every draw is keyed by the seed, a stream name, an entity and a time: the counter-based generator Philox gives the same
number for the same key, so that output does not depend on how a period or a network is cut into chunks.

References
----------
.. [1] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3," SC '11, doi:10.1145/2063384.2063405.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

_ROUNDS = 10
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # table 2 of [1]
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox4x32(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox-4×32-10 of [1], vectorised.

    Parameters
    ----------
    counter : numpy.ndarray, shape (4, n)
        Four words below 2³² each; as uint64, so that products fit.
    key : tuple of int
        Two words below 2³².

    Returns
    -------
    numpy.ndarray, shape (4, n)
        Four random words below 2³² each.

    Examples
    --------
    >>> [hex(word) for word in philox4x32(np.zeros((4, 1), np.uint64), (0, 0))[:, 0]]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        c0, c1, c2, c3 = (
            (product_1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            product_1 & _LOW,
            (product_0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            product_0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL_0) & 0xFFFFFFFF, (k1 + _WEYL_1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


@lru_cache(maxsize=512)
def _key(seed: int, name: str) -> int:
    """128 bits of seed and stream name."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest(), "little")


@dataclass(frozen=True, slots=True)
class Streams:
    """All random streams of one seed."""

    seed: int

    def generator(self, name: str, time: int = 0, entity: int = 0) -> np.random.Generator:
        """Generator of a stream at one time: element i of an array that it gives belongs to entity i."""
        counter = (int(entity) & (2**64 - 1)) << 192 | (int(time) & (2**64 - 1)) << 128
        return np.random.Generator(np.random.Philox(key=_key(self.seed, name), counter=counter))

    def uniform(self, name: str, entity: ArrayLike, time: ArrayLike = 0, draw: int = 0) -> NDArray[np.float64]:
        """Uniform numbers in the open interval (0, 1), one for each pair of entity and time (both broadcast).

        `entity` is an integer of 64 bits, `time` of 32 bits (days, hours or pass numbers), `draw` tells draws apart.
        """
        entities, times = np.broadcast_arrays(np.asarray(entity, np.int64), np.asarray(time, np.int64))
        bits, key = entities.ravel().view(np.uint64), _key(self.seed, name)
        counter = np.stack(
            [bits & _LOW, bits >> _SHIFT, times.ravel().view(np.uint64) & _LOW, np.full(bits.size, draw, np.uint64)]
        )
        words = philox4x32(counter, (key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF))
        # 52 bits and a half step: never 0, never 1, so that inverse distribution functions stay finite.
        mantissa = (words[0] << np.uint64(20)) | (words[1] >> np.uint64(12))
        return ((mantissa.astype(np.float64) + 0.5) / 2.0**52).reshape(entities.shape)

    def normal(self, name: str, entity: ArrayLike, time: ArrayLike = 0, draw: int = 0) -> NDArray[np.float64]:
        """Standard normal numbers, keyed as `uniform`."""
        result: NDArray[np.float64] = ndtri(self.uniform(name, entity, time, draw))
        return result

    def uuid(self, name: str, *parts: int | str) -> UUID:
        """An id for a thing named by `parts`; the same thing has the same id in every run."""
        text = "/".join([str(self.seed), name, *map(str, parts)])
        return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=5)
