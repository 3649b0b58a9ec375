"""Has the champion become worse, and since when? Shiryaev-Roberts over the labelled errors of its
drift period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.policy.detection.shiryaev_roberts import (
    EFFECTS,
    log_likelihood_ratios,
    shiryaev_roberts,
    upper_rates,
)
from lakehouse.retraining.policy.records import BinCounts, Records, VersionRecord

_DAY = "datetime64[D]"


@dataclass(frozen=True)
class Detection:
    """The evidence of a change, and when it may have begun.

    Attributes:
        log_statistic: natural logarithm of the Shiryaev-Roberts statistic; -inf without labelled
            rows.
        times: the hours (or moments) looked at, ascending.
        posterior: for each, the probability that the change began with it, if there was one.
    """

    log_statistic: float
    times: np.ndarray
    posterior: np.ndarray

    @property
    def change_at(self) -> np.datetime64 | None:
        """The most probable beginning of the change."""
        return self.times[int(self.posterior.argmax())] if len(self.times) else None

    def interval(self, level: float = 0.9) -> tuple[np.datetime64, np.datetime64] | None:
        """The central credible interval of the beginning; its last hour is included."""
        if not len(self.times):
            return None
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        low, high = np.minimum(np.searchsorted(self.posterior.cumsum(), tails), len(self.times) - 1)
        return self.times[low], self.times[high]


def detect(counts: BinCounts, records: Records, champion: int, memory: np.timedelta64) -> Detection:
    """Return the evidence as of now that the error rate of the champion's drift period has risen.

    Each version of the drift period is held against its own expected rates: the bounds of its
    cross-fitted errors by prediction and expected error, and of what it did on the days before. The
    effects looked for concern all predictions, or those of one class, since a rule often changes on
    one side. The evidence depends on what was labelled alone, not on the order in which the labels
    came; with moments in place of hours it dates the change to the row.

    Args:
        counts: whose labels came since the drift period began. Rows that a version of an earlier
            drift period had predicted count as the champion of the moment of their label would have
            predicted them; otherwise a new drift period would be blind at first.
        records: of at least the versions of the drift period.
        champion: the version in production.
        memory: how far back from the newest labelled hour a change is looked for.
    """
    drift_period = records[champion].drift_period
    versions = sorted(
        version for version, record in records.items() if record.drift_period == drift_period
    )
    own = np.isin(counts.version, versions) & (counts.labelled > 0)
    if not own.any():
        return Detection(-np.inf, np.empty(0, "datetime64[h]"), np.empty(0))
    known = counts.take(own)
    # A change is looked for in the newest part; rates are learned from the whole drift period, of
    # the versions that the newest part is of: so their table does not grow with the period.
    start = known.hour.max() - memory
    kept = known.take(known.hour > start)
    versions = sorted(set(kept.version.tolist()))
    known = known.take(np.isin(known.version, versions))
    rates = _Rates(known, versions, [records[version] for version in versions])
    times, at = np.unique(kept.hour, return_inverse=True)
    effects = _effects(kept.bin, records[champion])
    ratios = log_likelihood_ratios(kept.wrong, kept.labelled, rates.expected(kept), effects)
    # The counts of an hour are independent given the hypothesis, so their log ratios add up.
    summed = np.stack([np.bincount(at, row, len(times)) for row in ratios])
    evidence = shiryaev_roberts(summed, np.bincount(at, kept.labelled, len(times)))
    return Detection(evidence.log_statistic, times, evidence.posterior)


def _effects(bins: np.ndarray, record: VersionRecord) -> np.ndarray:
    """Effects × counts: each effect on all predictions, and on those of each kind alone, where
    there are more.
    """
    kind = bins // N_BINS
    kinds = len(record.errors.judged) // N_BINS
    on = [
        np.ones(len(kind)),
        *((kind == code).astype(float) for code in range(kinds if kinds > 1 else 0)),
    ]
    return np.concatenate([effect * np.stack(on) for effect in EFFECTS])


class _Rates:
    """Rates that counts are held against: what is on record of each version, and the days before
    the count's own.
    """

    def __init__(
        self, counts: BinCounts, versions: Sequence[int], records: Sequence[VersionRecord]
    ) -> None:
        self._versions, self._bins = versions, max(len(record.errors.judged) for record in records)
        self._days = np.unique(counts.hour.astype(_DAY))
        # One cell per day × version × bin, in this order.
        cells = self._cells(counts)
        self._judged = self._known_before(
            cells, counts.labelled, [record.errors.judged for record in records]
        )
        self._wrong = self._known_before(
            cells, counts.wrong, [record.errors.wrong for record in records]
        )

    def _known_before(
        self, cells: np.ndarray, rows: np.ndarray, recorded: Sequence[np.ndarray]
    ) -> np.ndarray:
        """By cell: what is on record of the version, and what came on the days before."""
        per_day = len(self._versions) * self._bins
        totals = np.bincount(cells, rows, len(self._days) * per_day).reshape(-1, per_day)
        # The day's own rows are left out: they are what is held against the rate.
        return (_before(totals) + self._joined(recorded)).ravel()

    def _joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """One after the other; a version that knew fewer classes has none of the bins of the
        others.
        """
        return np.concatenate([np.pad(part, (0, self._bins - len(part))) for part in parts])

    def expected(self, counts: BinCounts) -> np.ndarray:
        """The rate of each count, which must be one of those counted."""
        keys, back = np.unique(self._cells(counts), return_inverse=True)
        return upper_rates(self._wrong[keys], self._judged[keys])[back]

    def _cells(self, counts: BinCounts) -> np.ndarray:
        place = np.searchsorted(self._versions, counts.version) * self._bins + counts.bin
        days = np.searchsorted(self._days, counts.hour.astype(_DAY))
        return np.asarray(days * len(self._versions) * self._bins + place)


def _before(totals: np.ndarray) -> np.ndarray:
    """Sum over the days before each."""
    return totals.cumsum(axis=0) - totals
