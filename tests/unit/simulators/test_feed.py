"""Blocks of messages: their order, and parts of them."""

import numpy as np

from simulators.feed import FeedBlock


def test_equal_times_are_ordered_by_topic_and_payload_whatever_came_first():
    rng = np.random.default_rng(1)
    us, topics = rng.integers(0, 40, 300), [f"t{n}" for n in rng.integers(0, 4, 300)]
    payloads = [str(n).encode() for n in rng.permutation(300)]

    block = FeedBlock.of(us, topics, payloads)

    assert list(zip(block.publish_us.tolist(), block.topics, block.payloads, strict=True)) == sorted(
        zip(us.tolist(), topics, payloads, strict=True)
    )
    halves = [FeedBlock.of(us[a::2], topics[a::2], payloads[a::2]) for a in (0, 1)]
    assert FeedBlock.merged(halves).payloads == block.payloads


def test_a_window_has_its_begin_and_not_its_end():
    block = FeedBlock.of(np.array([3, 1, 2, 2, 5]), list("abcde"), [b""] * 5)

    assert block.window(2, 5).topics == ["c", "d", "a"]
    assert len(FeedBlock.merged([])) == len(block.window(7, 9)) == 0
