import re
from pathlib import Path

import pandas as pd

from lakehouse.drift import two_samples
from lakehouse.drift.comparison import drift_of
from lakehouse.drift.distances import SHARE_FLOOR
from lakehouse.models.expected_error import expected_quality
from lakehouse.profiling.columns import MAX_ITEMS
from lakehouse.profiling.profile import MAX_FREQUENT_ITEMS, ColumnProfile, ColumnSpec, statistics_of
from lakehouse.profiling.sketches import BASELINE_VALUES, THETA_LG_K, WINDOW_VALUES
from lakehouse.quality import calibration, classification, regression
from lakehouse.quality.scores import LOGIT_RANGE, SCORE_BINS
from tests.support import reference

TEXT = Path(__file__).parents[2].joinpath("docs/statistics.md").read_text()
PROFILE = ColumnProfile.of(pd.Series([1.0]), ColumnSpec("x", "double", "numeric"))


def test_every_statistic_is_documented_once_and_none_that_there_is_not():
    documented = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    computed = {
        *statistics_of(PROFILE),
        *drift_of(PROFILE, PROFILE),
        *classification.METRICS,
        *regression.METRICS,
        *expected_quality.METRICS,
    }
    assert sorted(documented) == sorted({*computed, "adjusted_pvalue"})


def test_the_documented_limits_are_those_of_the_code_and_of_the_reference():
    for stated, actual, referred in [
        ("at most 2048 buckets of a window", WINDOW_VALUES, reference.WHOLE),
        ("theta, 4096 entries", 2**THETA_LG_K, reference.DISTINCT_WHOLE),
        ("400 bins of log odds", SCORE_BINS, reference.SCORE_BINS),
        ("log odds from -8 to 8", LOGIT_RANGE, reference.LOGIT_RANGE),
        ("15 bins of confidence", calibration.CALIBRATION_BINS, reference.CONFIDENCE_BINS),
        ("given up beyond 10,000 values", MAX_ITEMS, reference.MAX_CATEGORIES),
        ("the 100 most frequent", MAX_FREQUENT_ITEMS, reference.MAX_FREQUENT),
        ("shares taken to be 1e-4 at least", SHARE_FLOOR, reference.SHARE_FLOOR),
        ("exact up to n · m = 10⁶", two_samples.EXACT_KS_PAIRS, reference.KS_EXACT_PAIRS),
        ("a standard error of 0.05 / 2048", two_samples.MEAN_ERROR, reference.MEAN_ERROR),
    ]:
        assert stated in TEXT, stated
        assert actual == referred, stated
    numbers = [int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d{2,}", TEXT)]
    assert {WINDOW_VALUES, BASELINE_VALUES, 2**THETA_LG_K, SCORE_BINS, MAX_ITEMS} < set(numbers)
