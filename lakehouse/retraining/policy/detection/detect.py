"""Has the champion become worse, and since when? Shiryaev-Roberts over the labelled errors of its
drift period.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.models.expected_error.spline_logistic import N_BINS
from lakehouse.retraining.policy.detection.shiryaev_roberts import (
    EFFECTS,
    MOST_RATE,
    log_likelihood_ratios,
    log_ratios_of_rates,
    shiryaev_roberts,
    upper_rates,
)
from lakehouse.retraining.policy.records import (
    ArchivedPredictions,
    BinCounts,
    Errors,
    Recent,
    Records,
    VersionRecord,
)

_DAY = "datetime64[D]"
_EVEN = 0.5
_MOVED, _PRIOR_ROWS = 0.7, 5
_BACK_WEIGHT, _MOVED_WEIGHT = 0.3, 0.2
RETURNED = "returned_version"
"""Evidence of an alarm: the archived version whose rule is back."""


@dataclass(frozen=True)
class Detection:
    """The evidence of a change, and when it may have begun.

    Attributes:
        log_statistic: natural logarithm of the Shiryaev-Roberts statistic; -inf without labelled
            rows.
        times: the hours (or moments) looked at, ascending.
        posterior: for each, the probability that the change began with it, if there was one.
        returned: archived version that the evidence speaks for, if it does so more than for
            anything else: the rule of its time is back; None for none.
    """

    log_statistic: float
    times: np.ndarray
    posterior: np.ndarray
    returned: int | None = None

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


def detect(
    counts: BinCounts,
    records: Records,
    champion: int,
    memory: np.timedelta64,
    recent: Recent | None = None,
) -> Detection:
    """The evidence as of now that the error rate of the champion's drift period has risen.

    Each version of the drift period is held against its own expected rates: the bounds of its
    cross-fitted errors by prediction and expected error, and of what it did on the days before. The
    effects looked for concern all predictions, or those of one class, since a rule often changes on
    one side; or those of one class in one outer part of a feature, of which most are wrong where a
    border moves; or, for each archived version, the rows that it predicts otherwise: that its rule
    is back is a sharp hypothesis, which few rows decide. Depends on what was labelled alone, not on
    the order in which the labels came; with moments in place of hours it dates the change to the
    row.

    Args:
        counts: whose labels came since the drift period began. Rows that a version of an earlier
            drift period had called count as the champion of the moment of their label would have
            predicted them, lest a new drift period be blind at first.
        records: of at least the versions of the drift period, and those disputed.
        champion: the version in production.
        memory: how far back from the newest labelled hour a change is looked for.
        recent: the newest of the counts by row, which the last two hypotheses need; without, they
            are not looked at.
    """
    drift_period = records[champion].drift_period
    versions = sorted(
        version for version, record in records.items() if record.drift_period == drift_period
    )
    own = np.isin(counts.version, versions) & (counts.labelled > 0)
    if not own.any():
        return Detection(-np.inf, np.empty(0, "datetime64[h]"), np.empty(0))
    kept = counts.take(own)
    # Rates are learned from the whole drift period; a change is looked for in the newest part.
    rates = _Rates(kept, versions, [records[version] for version in versions])
    kept = kept.take(kept.hour > kept.hour.max() - memory)
    times, at = np.unique(kept.hour, return_inverse=True)
    effects = _effects(kept.bin, records[champion])
    ratios = log_likelihood_ratios(kept.wrong, kept.labelled, rates.expected(kept), effects)
    # The counts of an hour are independent given the hypothesis, so their log ratios add up.
    summed = [np.bincount(at, row, len(times)) for row in ratios]
    back, moved = _of_rows(recent, rates, records, champion, times)
    prior = _prior(len(summed), len(back), len(moved))
    every = np.stack([*summed, *back.values(), *moved])
    evidence = shiryaev_roberts(every, np.bincount(at, kept.labelled, len(times)), prior)
    # An earlier rule is back where one archived version has more than half of the evidence.
    shares = evidence.shares[len(summed) :]
    returned = next(
        (version for version, share in zip(back, shares, strict=False) if share > _EVEN), None
    )
    return Detection(evidence.log_statistic, times, evidence.posterior, returned)


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


def _prior(general: int, back: int, moved: int) -> np.ndarray:
    """Weights of the hypotheses: by kind, and even within a kind, however many archived versions or
    features.
    """
    of_back, of_moved = _BACK_WEIGHT * bool(back), _MOVED_WEIGHT * bool(moved)
    kinds = ((general, 1 - of_back - of_moved), (back, of_back), (moved, of_moved))
    return np.concatenate([np.full(count, weight / max(count, 1)) for count, weight in kinds])


def _of_rows(
    recent: Recent | None, rates: "_Rates", records: Records, champion: int, times: np.ndarray
) -> tuple[dict[int, np.ndarray], list[np.ndarray]]:
    """Log likelihood ratios, by time, of the hypotheses on single rows: by archived version, and by
    moved border.
    """
    if recent is None:
        return {}, []
    recent = recent.take(
        np.isin(recent.counts.version, rates.versions) & np.isin(recent.counts.hour, times)
    )
    expected, at = rates.expected(recent.counts), np.searchsorted(times, recent.counts.hour)
    drift_period = {version: records[version] for version in rates.versions}
    of_rows = {
        version: _returns(recent.counts, otherwise, expected, drift_period, records[version])
        for version, otherwise in recent.archived.items()
    }
    back = {version: np.bincount(at, ratios, len(times)) for version, ratios in of_rows.items()}
    moved = [
        np.bincount(at[near], ratios, len(times))
        for near, ratios in _moved(recent, expected, drift_period, champion)
    ]
    return back, moved


def _moved(
    recent: Recent, expected: np.ndarray, drift_period: Records, champion: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each border that may move: the rows at it, and their log likelihood ratios of "it has
    moved" to no change.

    Most of the predictions there are wrong then. Without a change they are as often as in
    cross-fitting, where that is more than their expected error says: it is smooth, and says too
    little where a rule ends within a narrow strip.
    """
    kind = recent.counts.bin // N_BINS
    known = {
        version: {each.region: each for each in record.strips}
        for version, record in drift_period.items()
    }
    for strip in drift_period[champion].strips:
        near = np.flatnonzero(strip.region.box(recent.rows) & (kind == strip.region.code))
        counts = recent.counts.take(near)
        measured = {
            version: at.errors for version in known if (at := known[version].get(strip.region))
        }
        usual = _at_least(expected[near], counts, measured)
        yield near, log_likelihood_ratios(counts.wrong, counts.labelled, usual, np.array(_MOVED))


def _returns(
    counts: BinCounts,
    otherwise: ArchivedPredictions,
    expected: np.ndarray,
    drift_period: Records,
    archived: VersionRecord,
) -> np.ndarray:
    """Log likelihood ratios of "the archived version is right" to no change, where the two
    differ; zero elsewhere.

    A prediction is then wrong where the archived version's is right, which it is but for the bound
    of its own error rate. Without a change it is as often as where the two differed in
    cross-fitting, where that is more than its expected error says: two models that learned the same
    rule differ where both are at a loss. A ratio of one where the two agree keeps the
    supermartingale: it is a likelihood ratio of the disputed rows alone.
    """
    measured = {
        version: found
        for version, each in drift_period.items()
        if (found := each.disputes.get(archived.version))
    }
    usual = _at_least(expected, counts, measured)
    risen = np.maximum(
        usual, 1 - upper_rates(archived.errors.wrong, archived.errors.judged)[otherwise.bins]
    )
    ratios = log_ratios_of_rates(counts.wrong, counts.labelled, usual, risen)
    return np.where(otherwise.differs, ratios, 0.0)


def _at_least(
    expected: np.ndarray, counts: BinCounts, measured: Mapping[int, Errors]
) -> np.ndarray:
    """The expected rates, raised to what was measured of just such rows, on which they count as
    five rows.
    """
    raised = expected.copy()
    for version, errors in measured.items():
        own = np.flatnonzero(counts.version == version)
        bins, usual = counts.bin[own], expected[own]
        raised[own] = np.maximum(
            usual, (errors.wrong[bins] + _PRIOR_ROWS * usual) / (errors.judged[bins] + _PRIOR_ROWS)
        )
    return np.minimum(raised, MOST_RATE)


class _Rates:
    """Rates that counts are held against: what is on record of each version, and the days before
    the count's own.
    """

    def __init__(
        self, counts: BinCounts, versions: Sequence[int], records: Sequence[VersionRecord]
    ) -> None:
        self.versions, self._bins = versions, max(len(record.errors.judged) for record in records)
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
        per_day = len(self.versions) * self._bins
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
        place = np.searchsorted(self.versions, counts.version) * self._bins + counts.bin
        days = np.searchsorted(self._days, counts.hour.astype(_DAY))
        return np.asarray(days * len(self.versions) * self._bins + place)


def _before(totals: np.ndarray) -> np.ndarray:
    """Sum over the days before each."""
    return totals.cumsum(axis=0) - totals
