import numpy as np

from simulators.randomness import Streams, philox4x32


def words(values):
    return np.array([[value] for value in values], np.uint64)


def test_philox_gives_the_known_answers_of_its_authors():
    zero = philox4x32(words([0, 0, 0, 0]), (0, 0))
    ones = philox4x32(words([0xFFFFFFFF] * 4), (0xFFFFFFFF, 0xFFFFFFFF))
    pi = philox4x32(words([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]), (0xA4093822, 0x299F31D0))

    many = philox4x32(
        np.repeat(words([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]), 40, axis=1), (0xA4093822, 0x299F31D0)
    )

    assert np.array_equal(many, np.repeat(pi, 40, axis=1))  # arrays and single numbers take different ways
    assert zero[:, 0].tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert ones[:, 0].tolist() == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert pi[:, 0].tolist() == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


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
