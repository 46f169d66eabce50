import numpy as np

from simulators.randomness import Streams, mixed


def test_the_finaliser_gives_the_known_sequence_of_splitmix64():
    """From seed 1234567; the published test vector of the generator."""
    counter = np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1234567)

    assert mixed(counter).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_neighbouring_entities_times_and_draws_are_not_correlated():
    streams, entity = Streams(9), np.arange(50_000)
    numbers = [
        streams.uniform("x", entity, 5), streams.uniform("x", entity, 6), streams.uniform("x", entity + 1, 5),
        streams.uniform("x", entity, 5, draw=1), streams.uniform("y", entity, 5), streams.uniform("x", 7, entity),
        Streams(10).uniform("x", entity, 5), streams.uniform("x", entity * 4096, 5),
    ]  # fmt: skip

    correlation = np.corrcoef(numbers) - np.eye(len(numbers))

    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(entity))


def test_a_day_is_the_same_in_whatever_order_days_are_asked_for():
    days = list(range(739_000, 739_080))
    forward = [Streams(4).of_day("x", day, (2, 3)) for day in days]
    backward = [Streams(4).of_day("x", day, (2, 3)) for day in reversed(days)]

    assert np.array_equal(forward, backward[::-1])
    assert len(np.unique(forward)) == 80 * 6


def test_a_number_depends_on_its_key_and_not_on_what_is_drawn_with_it():
    streams = Streams(5)
    together = streams.uniform("x", np.arange(-50, 50), 7)

    apart = [float(streams.uniform("x", entity, 7)) for entity in range(-50, 50)]

    assert together.tolist() == apart
    assert np.array_equal(streams.uniforms("x", np.arange(9), 7, 3)[2], streams.uniform("x", np.arange(9), 7, draw=2))


def test_streams_times_entities_and_seeds_are_told_apart():
    drawn = {
        float(Streams(1).uniform("a", 1, 1)),
        float(Streams(1).uniform("a", 1, 2)),
        float(Streams(1).uniform("a", 2, 1)),
        float(Streams(1).uniform("b", 1, 1)),
        float(Streams(2).uniform("a", 1, 1)),
        float(Streams(1).uniform("a", 1, 1, draw=1)),
        *Streams(1).numbers("a", 1, 1, 8),
        *Streams(1).generator("a", 1, 1).random(4).tolist(),
    }

    assert len(drawn) == 18


def test_numbers_are_uniform_and_normals_standard():
    u = Streams(3).uniform("u", np.arange(200_000))
    z = Streams(3).normal("z", np.arange(200_000))

    assert abs(u.mean() - 0.5) < 0.003
    assert np.abs(np.histogram(u, 20, (0, 1))[0] / 10_000 - 1).max() < 0.05
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
