"""What a version expects of itself: against simulated rows, and on streams of fitted models."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lakehouse.models.expected_error.expected_quality import (
    METRICS,
    AbsoluteErrors,
    ErrorRates,
    ExpectedQuality,
    Moments,
    difference,
    expected_mean,
    expected_metrics,
    expected_share,
)
from lakehouse.models.expected_error.spline_logistic import N_BINS
from tests.benchmarks import expected_accuracy as benchmark

TYPICAL = np.array([0.0015, 0.0065, 0.02, 0.065, 0.175, 0.375, 0.75])
MIX = np.array([0.3, 0.2, 0.1, 0.1, 0.1, 0.15, 0.05])
DRAWS = 40_000


def rates(kinds: int, judged: int = 600) -> ErrorRates:
    """A version that errs a little more often than its expected errors say."""
    rows = np.round(np.tile(MIX, kinds) * judged / kinds)
    return ErrorRates(rows, np.round(rows * np.tile(TYPICAL, kinds) * 1.1))


def simulated_wrong(found: ErrorRates, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wrong rows by window: each draws the rate of each bin, then its rows."""
    prior = np.tile(TYPICAL, len(rows) // N_BINS)
    mean = (found.wrong + 5 * prior) / (found.judged + 5)
    weight = found.judged / 2 + 5
    drawn = rng.beta(mean * weight, (1 - mean) * weight, size=(DRAWS, len(rows)))
    return rng.binomial(rows.astype(int), drawn).sum(axis=1)


@pytest.mark.parametrize("kinds", [1, 2, 3])
@pytest.mark.parametrize("n", [4, 30, 200, 5000])
def test_the_interval_of_a_share_holds_nine_in_ten_simulated_windows(kinds, n):
    rng = np.random.default_rng([kinds, n])
    found = rates(kinds)
    rows = rng.multinomial(n, np.tile(MIX, kinds) / kinds).astype(float)
    wrong = simulated_wrong(found, rows, rng)
    moments = found.wrong_among(rows)
    assert moments.mean == pytest.approx(wrong.mean(), rel=0.02, abs=0.01)
    assert moments.variance == pytest.approx(wrong.var(), rel=0.04, abs=0.01)
    expected = expected_share(moments, n)
    shares = wrong / n
    held = (shares >= expected.low - 1e-12) & (shares <= expected.high + 1e-12)
    slack = {4: 0.1, 30: 0.08, 200: 0.04, 5000: 0.015}[n]  # counts are whole
    assert 0.89 <= held.mean() <= 0.9 + slack


def test_a_bin_that_has_judged_nothing_expects_what_its_expected_error_says():
    nothing = ErrorRates(np.zeros(N_BINS), np.zeros(N_BINS))
    one = np.eye(N_BINS)
    found = [nothing.wrong_among(rows).mean for rows in one]
    assert found == pytest.approx(TYPICAL)
    single = expected_share(nothing.wrong_among(one[5]), 1)
    assert (single.low, single.high) == (0, 1)


def test_the_interval_of_a_mean_error_holds_nine_in_ten_simulated_windows():
    rng, held = np.random.default_rng(7), []
    scales = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0])
    for n in (20, 400):
        for _ in range(400):
            places = rng.choice(N_BINS, 500, p=MIX)
            # The version has judged twice what it is worth: as much as its spread takes it for.
            found = AbsoluteErrors.of(places, rng.normal(size=500) * scales[places], N_BINS)
            worth = replace(found, **{name: 2 * each for name, each in vars(found).items()})
            window = rng.choice(N_BINS, n, p=MIX)
            errors = np.abs(rng.normal(size=n) * scales[window])
            rows = np.bincount(window, minlength=N_BINS).astype(float)
            expected = expected_mean(worth.among(rows), n)
            held.append(expected.low <= errors.mean() <= expected.high)
    assert 0.87 <= np.mean(held) <= 0.94


def test_errors_of_an_unseen_bin_are_those_of_a_normal_error_of_its_expected_error():
    rng = np.random.default_rng(1)
    # A normal error of deviation .6 is beyond 1 for 9.6 % of the rows, which is the bin of 6.5 %.
    errors = rng.normal(size=20_000) * 0.54
    assert (np.abs(errors) > 1).mean() == pytest.approx(0.065, abs=0.005)
    found = AbsoluteErrors.of(np.full(len(errors), 3), errors, N_BINS)
    own = found.among(np.eye(N_BINS)[3])
    assert own.mean == pytest.approx(np.abs(errors).mean(), rel=1e-3)
    assert own.variance == pytest.approx(np.abs(errors).var(), rel=1e-2)
    harder = found.among(np.eye(N_BINS)[5]).mean
    beyond = rng.normal(size=100_000) * 1.127  # beyond 1 for 37.5 %
    assert (np.abs(beyond) > 1).mean() == pytest.approx(0.375, abs=0.005)
    assert harder == pytest.approx(np.abs(beyond).mean(), rel=0.02)


def test_absolute_errors_survive_their_document():
    found = AbsoluteErrors.of(np.array([0, 3, 3]), np.array([1.0, -2.0, 4.0]), N_BINS)
    assert found.total.tolist() == [1, 0, 0, 6, 0, 0, 0]
    assert found.squares.tolist() == [1, 0, 0, 20, 0, 0, 0]
    back = AbsoluteErrors.from_json(found.to_json())
    assert all((getattr(back, name) == each).all() for name, each in vars(found).items())


def test_versions_expect_each_by_its_own_errors_and_their_sums_add_up():
    good, bad = rates(2, judged=4_000), rates(2, judged=400)
    bad = ErrorRates(bad.judged, bad.judged * 0.4)
    versions = {"9": ExpectedQuality(good), "10": ExpectedQuality(bad)}
    rows = np.zeros(2 * N_BINS)
    rows[8] = 100
    found = expected_metrics({("9", 8): 100, ("10", 8): 100}, 200, versions)
    parts = [each.wrong_among(rows) for each in (good, bad)]
    total = Moments(parts[0].mean + parts[1].mean, parts[0].variance + parts[1].variance)
    share = expected_share(total, 200)
    assert found["expected_accuracy"] == pytest.approx(1 - total.mean / 200)
    assert found["expected_accuracy_low"] == pytest.approx(1 - share.high)
    assert found["expected_accuracy_high"] == pytest.approx(1 - share.low)
    assert found["expected_absolute_error"] is None


def test_nothing_is_expected_where_a_row_is_in_no_bin_or_its_version_has_no_record():
    versions = {"1": ExpectedQuality(rates(2))}
    nothing = dict.fromkeys(METRICS)
    assert expected_metrics({("1", 3): 10}, 10, versions)["expected_accuracy"] is not None
    assert expected_metrics({("1", 3): 10}, 11, versions) == nothing  # one row was not counted
    assert expected_metrics({("1", 3): 10, ("2", 3): 1}, 11, versions) == nothing
    assert expected_metrics({("1", 2 * N_BINS): 10}, 10, versions) == nothing  # a third class
    assert expected_metrics({}, 0, versions) == nothing


def test_a_mean_error_is_expected_where_all_versions_know_how_far_they_are_off():
    errors = AbsoluteErrors.of(np.full(100, 2), np.ones(100), N_BINS)
    knows, not_known = ExpectedQuality(rates(1), errors), ExpectedQuality(rates(1))
    counts = {("1", 2): 40, ("2", 2): 60}
    found = expected_metrics(counts, 100, {"1": knows, "2": knows})
    assert found["expected_absolute_error"] == pytest.approx(1.0)
    assert found["expected_absolute_error_low"] < 1 < found["expected_absolute_error_high"]
    found = expected_metrics(counts, 100, {"1": knows, "2": not_known})
    assert found["expected_absolute_error"] is None
    assert found["expected_accuracy"] is not None


def test_a_difference_by_chance_is_stated_of_one_window_in_a_hundred():
    rng, found = np.random.default_rng(3), rates(2)
    rows = rng.multinomial(300, np.tile(MIX, 2) / 2).astype(float)
    stated = []
    for total in simulated_wrong(found, rows, rng)[:3_000]:
        by_bin = rng.multivariate_hypergeometric(rows.astype(int), int(total))
        counts = {place: (int(n), int(by_bin[place])) for place, n in enumerate(rows)}
        told = difference(counts, found)
        stated.append(told.is_beyond_chance)
        assert told.wrong == total
    assert 0.004 <= np.mean(stated) <= 0.016


def test_labels_that_come_first_for_hard_rows_are_no_difference():
    found = rates(2, judged=5_000)
    hard, easy = 5, 0
    assert not difference({hard: (100, 40)}, found).is_beyond_chance
    assert difference({easy: (100, 40)}, found).is_beyond_chance
    assert difference({hard: (100, 0)}, found).is_beyond_chance  # better than expected, too
    assert difference({}, found) is None


def test_a_difference_is_named_with_what_was_expected_of_the_same_rows():
    found = difference({5: (100, 80)}, rates(2, judged=5_000))
    assert found.accuracy == pytest.approx(0.2)
    assert "20.0% of 100 labelled rows are right, fewer than the 58.7% (90 %: " in found.words
    assert found.words.endswith("chance hardly explains it, a changed rule does")
    same = difference({5: (100, 42)}, rates(2, judged=5_000)).words
    assert same.endswith("and chance explains the difference")


@pytest.fixture(scope="module")
def streams() -> pd.DataFrame:
    """Windows of streams, each with a model of its own that was trained on a thousand rows."""
    told = []
    for name, problem in benchmark.PROBLEMS.items():
        family = "ridge_regression" if name == "numbers" else "logistic_regression"
        for seed in range(14):
            rng = np.random.default_rng([seed, 11])
            version = benchmark.trained(rng, problem, family, 1000)
            for kind in (benchmark.KINDS[0], benchmark.KINDS[2]):
                for size in (30, 300, 1000):
                    rows = benchmark.drawn(rng, problem, size, kind)
                    for figure, true, found, is_stated in benchmark.judged(version, rows):
                        column = f"expected_{figure}"
                        bounds = (found[f"{column}_low"], found[f"{column}_high"])
                        told.append((name, kind, figure, size, true, *bounds, is_stated))
    names = ["problem", "kind", "figure", "size", "true", "low", "high", "is_stated"]
    found = pd.DataFrame(told, columns=names)
    held = (found.low <= found.true + 1e-12) & (found.true <= found.high + 1e-12)
    return found.assign(held=held)


@pytest.mark.parametrize(
    "problem, figure",
    [
        ("two classes", "accuracy"),
        ("three classes", "accuracy"),
        ("numbers", "accuracy"),
        ("numbers", "absolute_error"),
    ],
)
def test_the_interval_holds_on_streams_without_change(streams, problem, figure):
    is_asked = (streams.problem == problem) & (streams.figure == figure)
    found = streams[is_asked & (streams.kind == benchmark.KINDS[0])]
    assert len(found) == 42
    assert found.held.mean() >= 0.8
    assert ((found.high - found.low)[found["size"] == 1000] < 0.3).all()
    assert found.is_stated.mean() <= 0.05


def test_a_changed_rule_is_not_seen_without_labels_and_stated_with_them(streams):
    changed = streams[(streams.kind == benchmark.KINDS[2]) & (streams["size"] == 1000)]
    for problem in ("two classes", "three classes"):
        found = changed[(changed.problem == problem) & (changed.figure == "accuracy")]
        assert (found.true < found.low).mean() > 0.7  # it expects as much as before
        assert found.is_stated.mean() > 0.3
