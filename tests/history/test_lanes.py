"""Rows in blocks against a plain list of them: whatever comes, is taken back or is dropped."""

import math
import random
from fractions import Fraction

import pytest

from lakehouse.history import lanes
from lakehouse.history.lanes import Lane, Seen, exact_sum

Rows = list[tuple[int, float]]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BLOCK", 4)


def rows_of(seen: Seen) -> Rows:
    return [pair for block in seen.blocks for pair in zip(block.times, block.values, strict=True)]


def values_of_many_sizes(chance: random.Random) -> float:
    return (
        chance.choice([1, -1])
        * chance.random()
        * 10.0 ** chance.choice([chance.randrange(-30, 30), chance.randrange(-323, 300)])
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_span_has_the_rows_and_the_figures_of_a_plain_list(seed: int) -> None:
    chance, lane = random.Random(seed), Lane()
    plain: Rows = []
    for _ in range(300):
        at, value = chance.randrange(60), values_of_many_sizes(chance)
        lane.add(at, value)
        plain.append((at, value))
        plain.sort(key=lambda row: row[0])
        if chance.random() < 0.2:
            taken, _ = chance.choice(plain)
            lane.take_back(taken)
            del plain[max(place for place, (time, _) in enumerate(plain) if time == taken)]
        if chance.random() < 0.02:
            before = chance.randrange(30)
            lane.forget(before)
            plain = [row for row in plain if row[0] >= before]
        after = chance.randrange(-5, 60)
        before = chance.randrange(-5, 65)
        seen = lane.seen(after, before)
        expected = [row for row in plain if after < row[0] < before]
        assert rows_of(seen) == expected
        assert len(seen) == len(expected)
        assert all(len(block) < 2 * lanes.BLOCK for block in seen.blocks)
        assert len(lane) == len(plain)
        if expected:
            values = [value for _, value in expected]
            assert seen.total() == float(sum(map(Fraction, values)))
            assert min(block.least for block in seen.blocks) == min(values)
            assert max(block.greatest for block in seen.blocks) == max(values)
            assert (seen.first.times[0], seen.first.values[0]) == expected[0]
            assert (seen.last.times[-1], seen.last.values[-1]) == expected[-1]


def test_a_block_that_is_emptied_leaves_the_sums_right() -> None:
    lane, left = Lane(), list(range(20))
    for at in left:
        lane.add(at, float(at))
    for at in range(6, 14):
        lane.take_back(at)
        left.remove(at)
        seen = lane.seen(-1, 20)
        assert (len(seen), seen.total()) == (len(left), float(sum(left)))


def test_no_row_that_may_be_seen_is_dropped() -> None:
    lane = Lane()
    for at in range(1_000):
        lane.add(at, float(at))
        lane.forget(at - 50)
        assert [time for time, _ in rows_of(lane.seen(at - 51, at + 1))] == list(
            range(max(0, at - 50), at + 1)
        )
    assert len(lane) == 51


def test_a_row_that_was_dropped_is_not_taken_back() -> None:
    lane = Lane()
    lane.take_back(7)
    for at in range(100):
        lane.add(at, 1.0)
    lane.forget(90)
    left = len(lane)
    lane.take_back(3)
    lane.take_back(200)
    assert len(lane) == left


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1e308, 1e308, -1e308], 1e308),  # too large on the way alone
        ([-1e308, 1e308, 1e308], 1e308),
        ([0.1] * 10, 1.0),
        ([-0.0, -0.0], 0.0),
        ([], 0.0),
    ],
)
def test_a_sum_is_rounded_once_whatever_its_order(values: list[float], total: float) -> None:
    assert math.copysign(1, exact_sum(values)) == 1
    assert exact_sum(values) == total
    lane = Lane()
    for at, value in enumerate([0.0, *values, 0.0]):
        lane.add(at, value)
    assert lane.seen(-1, 100).total() == total


def test_a_sum_that_is_no_double_is_an_error() -> None:
    lane = Lane()
    for at in range(20):
        lane.add(at, 1.7e308)
    with pytest.raises(OverflowError):
        lane.seen(-1, 100).total()
