"""Random numbers that depend on what they are for, never on the order in which they are drawn.

Every draw is keyed by the seed, a stream name, an entity and a time: the counter-based generator Philox gives the same
number for the same key, so that output does not depend on how a period or a network is cut into chunks.

References
----------
.. [1] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3," SC '11, doi:10.1145/2063384.2063405.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

_ROUNDS = 10
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)  # table 2 of [1]
_FEW = 5
_WEYL = (0x9E3779B9, 0xBB67AE85)
_STANDARD_NORMAL = NormalDist()
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
    if counter.shape[1] <= _FEW:
        return np.array([_philox_one(words, key) for words in counter.T.tolist()], np.uint64).T
    # The words 0 and 2 are multiplied, 1 and 3 are mixed in: two rows each, so that a round is five operations.
    multiplied, mixed = counter[::2], counter[1::2]
    for round_key in _round_keys(key):
        product = multiplied * _MULTIPLIERS
        multiplied = (product >> _SHIFT)[::-1] ^ mixed
        multiplied ^= round_key
        mixed = (product & _LOW)[::-1]
    out = np.empty_like(counter)
    out[::2], out[1::2] = multiplied, mixed
    return out


def _philox_one(words: list[int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """The same for one counter, in plain integers: for a handful quicker than arrays."""
    c0, c1, c2, c3 = words
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = k0 + _WEYL[0] & 0xFFFFFFFF, k1 + _WEYL[1] & 0xFFFFFFFF
    return c0, c1, c2, c3


@lru_cache(maxsize=512)
def _round_keys(key: tuple[int, int]) -> NDArray[np.uint64]:
    """Key of each round, shape (10, 2, 1)."""
    rounds = [
        [[(word + step * weyl) & 0xFFFFFFFF] for word, weyl in zip(key, _WEYL, strict=True)] for step in range(_ROUNDS)
    ]
    return np.array(rounds, np.uint64)


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
        shape = np.broadcast_shapes(entities.shape, times.shape)
        return self._numbers(name, entities, times, shape, np.int64(draw))

    def uniforms(self, name: str, entity: ArrayLike, time: ArrayLike, draws: int) -> NDArray[np.float64]:
        """The draws 0 to `draws` - 1 of `uniform` at once, along a new first axis."""
        entities, times = np.asarray(entity, np.int64), np.asarray(time, np.int64)
        shape = np.broadcast_shapes(entities.shape, times.shape)
        numbers = np.arange(draws).reshape(-1, *(1,) * len(shape))
        return self._numbers(name, entities, times, (draws, *shape), numbers)

    def _numbers(
        self, name: str, entity: NDArray[np.int64], time: NDArray[np.int64], shape: tuple[int, ...], draw: Any
    ) -> NDArray[np.float64]:
        counter = np.empty((4, *shape), np.uint64)
        if not counter.size:
            return np.zeros(shape)
        bits = entity.view(np.uint64) if entity.ndim else np.uint64(int(entity) & (2**64 - 1))
        counter[0], counter[1] = bits & _LOW, bits >> _SHIFT
        counter[2], counter[3] = (time & 0xFFFFFFFF).astype(np.uint64), draw
        key = _key(self.seed, name)
        words = philox4x32(counter.reshape(4, -1), (key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF))
        # 52 bits and a half step: never 0, never 1, so that inverse distribution functions stay finite.
        mantissa = (words[0] << np.uint64(20)) | (words[1] >> np.uint64(12))
        result: NDArray[np.float64] = ((mantissa.astype(np.float64) + 0.5) / 2.0**52).reshape(shape)
        return result

    def normal(self, name: str, entity: ArrayLike, time: ArrayLike = 0, draw: int = 0) -> NDArray[np.float64]:
        """Standard normal numbers, keyed as `uniform`."""
        result: NDArray[np.float64] = ndtri(self.uniform(name, entity, time, draw))
        return result

    def numbers(self, name: str, entity: int, time: int, count: int) -> list[float]:
        """Up to eight uniform numbers in (0, 1) for one thing: quick where an array of one would not be.

        Keyed hashing (BLAKE2b) in place of Philox; the streams differ from those of `uniform`.
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
        digest = hashlib.blake2b(
            text.encode(), digest_size=16, key=_key(self.seed, "uuid").to_bytes(16, "little")
        ).digest()
        # Version 4, variant of RFC 9562.
        bits = int.from_bytes(digest, "big") & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48
        return UUID(int=bits)
