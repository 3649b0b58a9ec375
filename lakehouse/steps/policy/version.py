"""From a fitted candidate to a version's record: what it was fit on, how often it errs, which change it answers."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lakehouse.statistics.difficulty import N_BINS, Difficulty, fit_difficulty
from lakehouse.steps.policy.borders import outer_parts
from lakehouse.steps.policy.candidates import Fitted
from lakehouse.steps.policy.decide import REFRESH, Decision
from lakehouse.steps.policy.evidence import Border, Errors, Pool, Region, Rows, Segment, VersionRecord


def judged_rows(decision: Decision, rows: Rows) -> np.ndarray:
    """Mask of the rows that candidates are compared on: those since the change; all, where there was none."""
    return np.ones(len(rows), bool) if decision.change_at is None else rows.made >= decision.change_at


def record_of(
    version: int,
    fitted: Fitted,
    decision: Decision,
    as_of: np.datetime64,
    rows: Rows,
    champion: VersionRecord | None,
) -> VersionRecord:
    """The record of a newly trained version.

    Args:
        version: its number.
        fitted: the chosen candidate, cross-fitted.
        decision: that asked for the training.
        as_of: newest label time that had landed.
        rows: those that it was cross-fitted on.
        champion: record of the version in production; None before the first.
    """
    taken = (fitted.weights > 0) & (fitted.calls >= 0)
    kept, calls = rows.take(taken), fitted.calls[taken]
    difficulty = fit_difficulty(kept.features, kept.codes, rows.n_classes)
    refreshed = champion if decision.action == REFRESH else None
    watched = tuple(border.region for border in refreshed.borders if border.region.is_of(rows)) if refreshed else ()
    regions, compared = watched or outer_parts(kept, calls), judged_rows(decision, rows)
    return VersionRecord(
        version=version,
        as_of=as_of,
        epoch=refreshed.epoch if refreshed else as_of,
        changed_at=decision.change_at,
        pool=fitted.pool,
        reference=_reference(fitted, refreshed, champion),
        since_change=int(compared.sum()),
        errors=_errors(difficulty, kept, calls),
        difficulty=difficulty,
        borders=tuple(_measured(region, difficulty, kept, calls) for region in regions),
        disputes=_disputes(difficulty, fitted, rows, compared),
    )


def _measured(region: Region, difficulty: Difficulty, rows: Rows, calls: np.ndarray) -> Border:
    """How often a version errs at a border: difficulty is smooth, and says too little of a narrow strip."""
    inside = region.box(rows) & (calls == region.code)
    return Border(region, _errors(difficulty, rows.take(inside), calls[inside]))


def _disputes(difficulty: Difficulty, fitted: Fitted, rows: Rows, judged: np.ndarray) -> dict[int, Errors]:
    """Where two models call otherwise, either is wrong more often than its difficulty says: how often, this one?"""
    differs = {
        version: judged & (fitted.calls >= 0) & (fitted.calls != calls) for version, calls in fitted.told.items()
    }
    return {version: _errors(difficulty, rows.take(on), fitted.calls[on]) for version, on in differs.items()}


def _reference(fitted: Fitted, refreshed: VersionRecord | None, champion: VersionRecord | None) -> int | None:
    """What the change is told by: of one that goes on, the version from before it began."""
    if fitted.candidate.moving is not None:
        return fitted.candidate.reference
    if refreshed:
        return refreshed.reference
    return champion.version if champion else None


def restored(
    record: VersionRecord, pool: Pool, fitted: Fitted, decision: Decision, as_of: np.datetime64, rows: Rows
) -> VersionRecord:
    """The record of an archived version that is brought back as it is.

    It is held against its own expected errors again; what it is refreshed from is its own pool and the rows since.

    Args:
        record: as it was.
        pool: its rows up to the change that ended its epoch.
        fitted: the chosen candidate: itself.
        decision: that asked for a training.
        as_of: newest label time that had landed.
        rows: those that it was compared on.
    """
    judged = judged_rows(decision, rows)
    return replace(
        record,
        as_of=as_of,
        epoch=as_of,
        changed_at=decision.change_at,
        reference=record.version,
        pool=pool.plus(Segment(decision.change_at)),
        since_change=int(judged.sum()),
        disputes=_disputes(record.difficulty, fitted, rows, judged),
    )


def archived(archive: Mapping[int, Pool], champion: VersionRecord, change_at: np.datetime64 | None) -> dict[int, Pool]:
    """The archive after an alarm was answered: the champion before comes last, with its rows up to the change."""
    kept = {version: pool for version, pool in archive.items() if version != champion.version}
    return kept | {champion.version: champion.pool if change_at is None else champion.pool.until(change_at)}


def _errors(difficulty: Difficulty, rows: Rows, calls: np.ndarray) -> Errors:
    """The errors of cross-fitted calls."""
    place = calls * N_BINS + difficulty.bins_of_calls(rows.features, calls)
    size = rows.n_classes * N_BINS
    return Errors(np.bincount(place, minlength=size).astype(float), np.bincount(place, calls != rows.codes, size))
