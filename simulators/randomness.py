"""Random numbers that depend on what they are for, never on the order in which they are drawn.

Every draw is keyed by the seed, a stream name, an entity and a time, so that output does not depend on how a period or
a network is cut into chunks: numpy's counter-based Philox [1] where a generator is wanted, a keyed mixing function [2]
for numbers of single entities.

References
----------
.. [1] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3," SC '11, doi:10.1145/2063384.2063405.
.. [2] G. L. Steele, D. Lea, and C. H. Flood, "Fast splittable pseudorandom number generators," OOPSLA '14,
   doi:10.1145/2660193.2660195.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

_MASK = 2**64 - 1
_MULTIPLIERS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # "variant 13" of the finaliser, as in SplittableRandom [2]
_TIME, _DRAW = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03  # odd, so that different times stay different
_FEW = 4
_BLOCK_DAYS = 32
_STANDARD_NORMAL = NormalDist()
_S30, _S27, _S31, _S12 = (np.uint64(shift) for shift in (30, 27, 31, 12))
_M0, _M1 = (np.uint64(word) for word in _MULTIPLIERS)


def mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The 64-bit finaliser of [2]: a bijection in which every bit of a word turns each bit of the result in half of all
    cases.

    Examples
    --------
    >>> [hex(word) for word in mixed(np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A], np.uint64)).tolist()]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    words = (words ^ (words >> _S30)) * _M0
    words ^= words >> _S27
    words *= _M1
    words ^= words >> _S31
    return words


def unit(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform numbers from random words: 52 bits and a half step, never 0 and never 1, so that inverse distribution
    functions stay finite."""
    numbers_01 = (words >> _S12).astype(np.float64)
    numbers_01 += 0.5
    numbers_01 /= 2.0**52
    return numbers_01


def _mixed_one(word: int) -> int:
    """The same for one number, in plain integers: for a handful quicker than arrays."""
    word = ((word ^ word >> 30) * _MULTIPLIERS[0]) & _MASK
    word = ((word ^ word >> 27) * _MULTIPLIERS[1]) & _MASK
    return word ^ word >> 31


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
        entities, times = np.asarray(entity, np.int64), np.asarray(time, np.int64)
        return self._numbers(name, entities, times, draw)

    def uniforms(self, name: str, entity: ArrayLike, time: ArrayLike, draws: int) -> NDArray[np.float64]:
        """The draws 0 to `draws` - 1 of `uniform` at once, along a new first axis."""
        entities, times = np.asarray(entity, np.int64), np.asarray(time, np.int64)
        numbers = np.arange(draws).reshape(-1, *(1,) * max(entities.ndim, times.ndim))
        return self._numbers(name, entities, times, numbers)

    def words(self, name: str, entity: ArrayLike, time: ArrayLike, draws: int) -> NDArray[np.uint64]:
        """64 random bits instead of each number of `uniforms`; of one key, both come from the same bits."""
        entities, times = np.atleast_1d(np.asarray(entity, np.int64)), np.asarray(time, np.int64)
        numbers = np.arange(draws).reshape(-1, *(1,) * max(entities.ndim, times.ndim))
        return self._words(_key(self.seed, name), entities, times, numbers)

    def _numbers(
        self, name: str, entity: NDArray[np.int64], time: NDArray[np.int64], draw: int | NDArray[np.int64]
    ) -> NDArray[np.float64]:
        key = _key(self.seed, name)
        first, second = key & _MASK, key >> 64
        if time.ndim == 0 and isinstance(draw, int) and entity.size <= _FEW:
            late, last = (int(time) * _TIME) & _MASK, (draw * _DRAW) & _MASK
            few = [self._one(first, second, e & _MASK, late, last) for e in entity.ravel().tolist()]
            return np.array(few, np.float64).reshape(entity.shape)
        scalar = entity.ndim == 0
        numbers_01 = unit(self._words(key, entity, time, draw))
        shape = numbers_01.shape[:-1] if scalar and time.ndim == 0 else numbers_01.shape
        result: NDArray[np.float64] = numbers_01.reshape(shape)
        return result

    def _words(
        self, key: int, entity: NDArray[np.int64], time: NDArray[np.int64], draw: int | NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """Key, entity, time and draw are mixed in one after the other."""
        words = mixed(np.atleast_1d(entity).view(np.uint64) + np.uint64(key & _MASK))
        words = mixed((words ^ np.uint64(key >> 64)) + np.atleast_1d(time).view(np.uint64) * np.uint64(_TIME))
        return mixed(words + np.atleast_1d(np.asarray(draw, np.int64)).view(np.uint64) * np.uint64(_DRAW))

    def _one(self, first: int, second: int, entity: int, late: int, last: int) -> float:
        word = _mixed_one((entity + first) & _MASK)
        word = _mixed_one(((word ^ second) + late) & _MASK)
        return ((_mixed_one((word + last) & _MASK) >> 12) + 0.5) / 2.0**52

    def of_day(self, name: str, day: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1) for one day (an ordinal), drawn for a block of days at once."""
        result: NDArray[np.float64] = _day_block(self, name, day // _BLOCK_DAYS, shape)[day % _BLOCK_DAYS]
        return result

    def normal(self, name: str, entity: ArrayLike, time: ArrayLike = 0, draw: int = 0) -> NDArray[np.float64]:
        """Standard normal numbers, keyed as `uniform`."""
        result: NDArray[np.float64] = ndtri(self.uniform(name, entity, time, draw))
        return result

    def numbers(self, name: str, entity: int, time: int, count: int) -> list[float]:
        """Up to eight uniform numbers in (0, 1) for one thing: quick where an array of one would not be.

        By keyed hashing (BLAKE2b); the streams differ from those of `uniform`.
        """
        key = _key(self.seed, name).to_bytes(16, "little")
        text = (int(entity) & (2**64 - 1)).to_bytes(8, "little") + (int(time) & (2**64 - 1)).to_bytes(8, "little")
        digest = hashlib.blake2b(text, digest_size=8 * count, key=key).digest()
        return [((word >> 12) + 0.5) / 2.0**52 for word in struct.unpack(f"<{count}Q", digest)]

    def normals(self, name: str, entity: int, time: int, count: int) -> list[float]:
        """Standard normal numbers, keyed as `numbers`."""
        return [_STANDARD_NORMAL.inv_cdf(u) for u in self.numbers(name, entity, time, count)]

    def uuid(self, name: str, *parts: int | str) -> UUID:
        """An id for a thing named by `parts`; the same thing has the same id in every run."""
        text = "/".join([name, *map(str, parts)])
        digest = _uuid_hash(self.seed).copy()
        digest.update(text.encode())
        # Version 4, variant of RFC 9562.
        bits = int.from_bytes(digest.digest(), "big") & _UUID_FREE | _UUID_FIXED
        return UUID(int=bits)


_UUID_FREE, _UUID_FIXED = ~(0xF000 << 64) & ~(0xC000 << 48), 4 << 76 | 0x8000 << 48


@lru_cache(maxsize=16)
def _uuid_hash(seed: int) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16, key=_key(seed, "uuid").to_bytes(16, "little"))


@lru_cache(maxsize=12)
def _day_block(streams: Streams, name: str, block: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return streams.generator(name, block).random((_BLOCK_DAYS, *shape))
