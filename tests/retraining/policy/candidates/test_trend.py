import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from lakehouse.retraining.policy.candidates.trend import fit_trend, trend_score

ROWS = 800
AGE = np.linspace(3, 0, ROWS)


def events(strip: np.ndarray, seed: int, noise: float = 0.04) -> tuple[np.ndarray, np.ndarray]:
    """Two features, the first uniform on 0 to 10; the event comes about below the border, but for
    noise.
    """
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.uniform(0, 10, ROWS), rng.normal(0, 1, ROWS)])
    return values, (values[:, 0] < strip) ^ (rng.random(ROWS) < noise)


def scores(speed: float, count: int) -> np.ndarray:
    return np.array([trend_score(*events(3 - speed * AGE, seed), AGE) for seed in range(count)])


@pytest.mark.slow
def test_a_border_that_stands_still_gives_a_standard_normal_score():
    found = scores(0.0, 60)
    assert abs(found.mean()) < 0.45
    assert 0.7 < found.std() < 1.35
    assert (found > 2.3).mean() <= 0.05


def test_a_border_that_moves_is_seen_with_its_direction():
    assert np.median(scores(0.4, 8)) > 3
    assert np.median(scores(-0.4, 8)) < -3


def test_a_few_events_say_nothing():
    values, _ = events(np.full(ROWS, 3.0), 0)
    few = np.arange(ROWS) >= ROWS - 4
    assert trend_score(values, few, AGE) == 0
    assert trend_score(values, ~few, AGE) == 0


def border_at(ahead: float, seed: int, speed: float = 0.6) -> float:
    values, found = events(3 - speed * AGE, seed)
    grid = np.column_stack([np.linspace(0, 10, 501), np.zeros(501)])
    chances = fit_trend(values, found, AGE, ahead).chances(grid)
    assert chances.sum(axis=1) == pytest.approx(1)
    return float(grid[chances[:, 1] > 0.5, 0].max())


def test_the_border_is_given_as_of_now_and_a_little_later():
    now = [border_at(0.0, seed) for seed in range(8)]
    later = [border_at(0.75, seed) for seed in range(8)]
    assert np.mean(now) == pytest.approx(3.0, abs=0.2)
    assert np.mean(now) + 0.05 < np.mean(later) < 3.5


def test_each_piece_has_a_trend_of_its_own():
    """Chances rise below 3 and fall above 7: what is carried on differs from piece to piece, not by
    a constant.
    """
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.uniform(0, 10, ROWS), rng.normal(0, 1, ROWS)])
    chance = np.select(
        [values[:, 0] < 3, values[:, 0] > 7], [0.9 - 0.25 * AGE, 0.1 + 0.25 * AGE], 0.5
    )
    found = rng.random(ROWS) < chance
    asked = np.array([[1.5, 0.0], [8.5, 0.0]])
    now, later = (
        fit_trend(values, found, AGE, ahead).chances(asked)[:, 1] for ahead in (-1.0, 0.5)
    )
    assert later[0] > now[0] + 0.1
    assert later[1] < now[1] - 0.1


def test_a_missing_value_has_a_chance_of_its_own():
    values, found = events(np.full(ROWS, 3.0), 1)
    gone = np.arange(ROWS) % 10 == 0
    values[gone, 0], found[gone] = np.nan, True
    chances = fit_trend(values, found, AGE, 0.5).chances(np.array([[np.nan, 0.0], [8.0, 0.0]]))
    assert chances[0, 1] > 0.7
    assert chances[1, 1] < 0.2
    assert np.isfinite(trend_score(values, found, AGE))


def test_a_fit_is_on_one_thread_though_its_process_may_have_more(monkeypatch):
    seen, fit = [], LogisticRegression.fit

    def watched(model, *rows):
        seen.append({row_rule["num_threads"] for row_rule in threadpool_info()})
        return fit(model, *rows)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    values, found = events(np.full(ROWS, 3.0), 0)
    with threadpool_limits(2):
        trend_score(values, found, AGE)
        fit_trend(values, found, AGE, 0.5)
        assert 2 in {row_rule["num_threads"] for row_rule in threadpool_info()}
    assert seen == [{1}] * 6
