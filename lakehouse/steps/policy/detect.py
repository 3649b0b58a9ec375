"""Has the champion become worse, and since when? Shiryaev-Roberts over the labelled errors of its epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.statistics.difficulty import N_BINS
from lakehouse.statistics.shiryaev_roberts import EFFECTS, log_likelihood_ratios, shiryaev_roberts, upper_rates
from lakehouse.steps.policy.evidence import BinCounts, Records, VersionRecord

_DAY = "datetime64[D]"


@dataclass(frozen=True)
class Detection:
    """The evidence of a change, and when it may have begun.

    Attributes:
        log_statistic: natural logarithm of the Shiryaev-Roberts statistic; -inf without labelled rows.
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
    """The evidence as of now that the error rate of the champion's epoch has risen.

    Looks at what the versions of the epoch predicted, each against its own expected rates: the bounds of its
    cross-fitted errors by call and difficulty, and of what it did on the days before. The effects looked for concern
    all calls, or those of one class alone, since a rule often changes on one side. Depends on the counts alone, not
    on the order in which the labels came; with moments in place of hours it dates the change to the row.

    Args:
        counts: whose labels came since the epoch began. Rows that a version of an earlier epoch had called in
            production count as the champion of the moment of their label would have called them: else a new epoch
            would be blind for as long as labels take.
        records: of at least the versions of the epoch.
        champion: the version in production.
        memory: how far back from the newest labelled hour a change is looked for.
    """
    epoch = records[champion].epoch
    versions = sorted(version for version, record in records.items() if record.epoch == epoch)
    own = np.isin(counts.version, versions) & (counts.labelled > 0)
    if not own.any():
        return Detection(-np.inf, np.empty(0, "datetime64[h]"), np.empty(0))
    kept = counts.take(own)
    recent = kept.hour > kept.hour.max() - memory
    expected = _expected(kept, recent, versions, [records[version] for version in versions])
    kept = kept.take(recent)
    ratios = log_likelihood_ratios(kept.wrong, kept.labelled, expected, _effects(kept.bin, records[champion]))
    times, at = np.unique(kept.hour, return_inverse=True)
    summed = np.stack([np.bincount(at, row, len(times)) for row in ratios])
    evidence = shiryaev_roberts(summed, np.bincount(at, kept.labelled, len(times)))
    return Detection(evidence.log_statistic, times, evidence.posterior)


def _effects(bins: np.ndarray, record: VersionRecord) -> np.ndarray:
    """Effects × counts: each effect on all calls, and on those of each class alone."""
    call = bins // N_BINS
    n_classes = len(record.judged) // N_BINS
    on = [np.ones(len(call)), *((call == code).astype(float) for code in range(n_classes))]
    return np.concatenate([effect * np.stack(on) for effect in EFFECTS])


def _expected(
    counts: BinCounts, asked: np.ndarray, versions: Sequence[int], records: Sequence[VersionRecord]
) -> np.ndarray:
    """The rate that each asked count is held against: the version's record and the days before the count's own."""
    days, day = np.unique(counts.hour.astype(_DAY), return_inverse=True)
    n_bins = len(records[0].judged)
    place = np.searchsorted(versions, counts.version) * n_bins + counts.bin
    cells = day * len(versions) * n_bins + place
    size = len(days) * len(versions) * n_bins
    keys, back = np.unique(cells[asked], return_inverse=True)
    start = keys % (len(versions) * n_bins)
    judged, wrong = (
        _before(np.bincount(cells, each, size).reshape(len(days), -1)).ravel()[keys] + known[start]
        for each, known in (
            (counts.labelled, np.concatenate([record.judged for record in records])),
            (counts.wrong, np.concatenate([record.wrong for record in records])),
        )
    )
    return upper_rates(wrong, judged)[back]


def _before(totals: np.ndarray) -> np.ndarray:
    """Sums over the days before each."""
    return totals.cumsum(axis=0) - totals
