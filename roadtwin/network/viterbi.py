"""The most probable states of a chain, by products of matrices in a tree: all points at once instead of one by one."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def best_states(emission: Array, transition: Array) -> NDArray[np.intp]:
    """State of each point on the most probable path through a chain (Viterbi's path).

    Viterbi's recursion is a product of matrices in which the maximum stands for the sum and the sum for the product.
    That product is associative: neighbouring matrices are multiplied in pairs, the results in pairs again, and on the
    way back down every point learns the best score of all that comes before and after it. So a chain of n points takes
    log₂ n steps over arrays, and many traces can stand in one chain, with transitions of 0 between them.

    Parameters
    ----------
    emission : numpy.ndarray, shape (n, k)
        Logarithm of the probability of what was observed at each point in each state; −inf where it cannot be in it.
    transition : numpy.ndarray, shape (n, k, k)
        `transition[i, a, b]`: logarithm of the probability of state b at point i after a at the point before; −inf
        where that cannot be. That of the first point is not read.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Of states that are equally good the first; −1 for all points if no path is possible.

    Examples
    --------
    >>> stay = np.log([[0.9, 0.1], [0.1, 0.9]])
    >>> seen = np.log([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]])
    >>> best_states(seen, np.stack([stay] * 3))
    array([0, 0, 0])
    """
    count, states = emission.shape
    if not count:
        return np.zeros(0, np.intp)
    step = transition + emission[:, None, :]
    step[0] = emission[0]
    levels = [step]
    while len(levels[-1]) > 1:
        level = levels[-1]
        if len(level) % 2:
            level = levels[-1] = np.concatenate([level, _identity(states)])
        levels.append(_product(level[0::2], level[1::2]))
    before = after = np.zeros((1, states))
    for level in levels[-2::-1]:
        left, right = level[0::2], level[1::2]
        before, after = before[: len(left)], after[: len(left)]  # without what was added to an odd number
        up_to = (before[:, :, None] + left).max(axis=1)
        from_here = (right + after[:, None, :]).max(axis=2)
        before = np.stack([before, up_to], axis=1).reshape(-1, states)
        after = np.stack([from_here, after], axis=1).reshape(-1, states)
    score = (before[:, :, None] + levels[0]).max(axis=1)[:count] + after[:count]
    best = score.argmax(axis=1)
    return np.where(np.isneginf(score[0].max()), -1, best)


def _identity(states: int) -> Array:
    return np.where(np.eye(states, dtype=np.bool_), 0.0, -np.inf)[None]


def _product(left: Array, right: Array) -> Array:
    """Products of n pairs of matrices, (n, k, k) each; the best way over any state between."""
    result = left[:, :, 0, None] + right[:, 0, None, :]
    for between in range(1, left.shape[1]):
        np.maximum(result, left[:, :, between, None] + right[:, between, None, :], out=result)
    return result
