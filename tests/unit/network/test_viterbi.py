from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadtwin.network.viterbi import best_states


def one_by_one(emission, transition):
    """Viterbi's recursion, point after point."""
    score, came_from = emission[0], []
    for seen, step in zip(emission[1:], transition[1:], strict=True):
        ways = score[:, None] + step
        came_from.append(ways.argmax(axis=0))
        score = ways.max(axis=0) + seen
    path = [int(score.argmax())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return path[::-1]


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_other_path_is_better(count, states, seed):
    rng = np.random.default_rng(seed)
    emission, transition = rng.normal(size=(count, states)), rng.normal(size=(count, states, states))
    emission[rng.random(emission.shape) < 0.2] = -np.inf
    transition[rng.random(transition.shape) < 0.2] = -np.inf

    def score(path):
        steps = sum(transition[i + 1, a, b] for i, (a, b) in enumerate(pairwise(path)))
        return steps + sum(emission[i, state] for i, state in enumerate(path))

    best = max(product(range(states), repeat=count), key=score)
    path = best_states(emission, transition).tolist()

    assert path == (list(best) if np.isfinite(score(best)) else [-1] * count)


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 1023, 1024, 1025])
def test_a_long_chain_has_the_path_of_the_recursion(count):
    rng = np.random.default_rng(count)
    emission, transition = rng.normal(size=(count, 4)), 2 * rng.normal(size=(count, 4, 4))

    assert best_states(emission, transition).tolist() == one_by_one(emission, transition)


def test_traces_in_one_chain_do_not_know_of_each_other():
    rng = np.random.default_rng(1)
    emission, transition = rng.normal(size=(50, 3)), 2 * rng.normal(size=(50, 3, 3))
    transition[20] = 0.0

    together = best_states(emission, transition)

    assert together[:20].tolist() == best_states(emission[:20], transition[:20]).tolist()
    assert together[20:].tolist() == best_states(emission[20:], transition[20:]).tolist()


def test_an_empty_chain_has_no_states():
    assert best_states(np.zeros((0, 3)), np.zeros((0, 3, 3))).tolist() == []
