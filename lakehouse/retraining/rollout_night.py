"""What becomes of the rollout that runs, as of a label batch: read, judged, written."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from lakehouse.instants import instants
from lakehouse.labels.labelled_rows import LABEL_TIME, labelled_between
from lakehouse.retraining.policy.gate import compare
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.retraining.served_rows import answered_otherwise
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.rollouts.sequential import Block, Pairs
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Labelled, judge_rollout
from lakehouse.scoring.rollout_checks import scored_in
from lakehouse.settings import CostSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.versions.actions import LOOP
from lakehouse.versions.rollouts import aborted, carry_out

_SHADOW = "_shadow"  # no model's column begins with an underscore


def advance(ledger: TableLedger, as_of: dt.datetime) -> bool:
    """Judge the rollout that runs, and write what becomes of it, once for a label batch.

    Returns:
        Whether anything was written.
    """
    rollout, versions = ledger.rollouts.running, ledger.versions
    if rollout is None:
        return False
    if rollout.champion != versions.champion:
        words = f"version {versions.champion} is in production, no more version {rollout.champion}"
        carry_out(versions, ledger.rollouts, as_of, aborted("champion_changed", words), LOOP)
        return True
    if as_of <= rollout.seen:
        return False
    lakehouse = versions.lakehouse
    scored = scored_in(lakehouse, rollout.rollout_id)
    settings, labelled = lakehouse.model.rollout, labelled_of(ledger, rollout, as_of)
    verdict = judge_rollout(rollout, as_of, scored, labelled, settings)
    carry_out(versions, ledger.rollouts, as_of, verdict, LOOP)
    return True


def labelled_of(ledger: TableLedger, rollout: Rollout, as_of: dt.datetime) -> Labelled:
    """What the labels tell of a rollout that have come: all rows since it began are read."""
    models = PromotedModels(ledger.versions)
    shadow = _shadow_rows(models, rollout)
    if not len(shadow):
        return Labelled()
    model, history = models.lakehouse.model, ledger.history
    start = shadow[model.event_time].min().to_pydatetime()
    features = models.features(history)
    production = labelled_between(ledger.versions, features, as_of, start, None)
    rows = production.merge(shadow[[model.key, _SHADOW]], on=model.key)
    if model.rollout.label_follows_prediction:
        # Its label follows the answer that was told: it is of neither arm.
        rows = rows[~answered_otherwise(models.lakehouse, rows, _began(ledger, rollout))]
    if not len(rows):
        return Labelled()
    sides = _Sides.of(models, rows, rollout)
    slices: Mapping[str, np.ndarray] = {}
    if model.metrics.slices:
        slices = LabelledFrame(models, rows, history).slices(np.ones(len(rows), dtype=bool))
    return Labelled(
        sides.pairs(np.ones(len(rows), dtype=bool)),
        sides.right,
        {name: sides.pairs(inside) for name, inside in slices.items()},
        sides.blocks(instants(rows[LABEL_TIME])),
        sides.costs(model.costs, only_own=model.rollout.label_follows_prediction),
    )


def _began(ledger: TableLedger, rollout: Rollout) -> dt.datetime:
    """When a rollout began, by the wall clock."""
    own = (row for row in ledger.rollouts.rows if row["rollout_id"] == rollout.rollout_id)
    began: dt.datetime = min(row["recorded_at"] for row in own)
    return began


def _shadow_rows(models: PromotedModels, rollout: Rollout) -> pd.DataFrame:
    """Key, event time and prediction of the rows that both versions have answered."""
    lakehouse = models.lakehouse
    model, table = lakehouse.model, lakehouse.catalog.shadow_predictions
    where = (pc.field("rollout_id") == rollout.rollout_id) & pc.field(PREDICTION).is_valid()
    columns = [model.key, model.event_time, PREDICTION]
    found = lakehouse.store.arrow(table, where, columns).to_pandas()
    return found.rename(columns={PREDICTION: _SHADOW})


@dataclass(frozen=True)
class _Sides:
    """Labelled rows of a rollout.

    Attributes:
        models: that tell the problem.
        labels: of each row.
        production: what was answered.
        by_challenger: whether by the challenger.
        champion: the champion's prediction.
        challenger: the challenger's.
    """

    models: PromotedModels
    labels: np.ndarray
    production: np.ndarray
    by_challenger: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray

    @classmethod
    def of(cls, models: PromotedModels, rows: pd.DataFrame, rollout: Rollout) -> "_Sides":
        """From rows of production with the label, and the other version's prediction."""
        label = models.lakehouse.model.labels.label
        labels, production, other = (
            np.asarray(models.problem.targets(rows[name])) for name in (label, PREDICTION, _SHADOW)
        )
        by_challenger = rows["model_version"].to_numpy() == rollout.challenger
        champion = np.where(by_challenger, other, production)
        challenger = np.where(by_challenger, production, other)
        return cls(models, labels, production, by_challenger, champion, challenger)

    def pairs(self, inside: np.ndarray) -> Pairs:
        """The rows inside, compared one by one."""
        sides = self.labels[inside], self.champion[inside], self.challenger[inside]
        found = compare(self.models.problem, *sides)
        return Pairs(found.rows, found.won, found.lost)

    @property
    def right(self) -> tuple[int, int]:
        """On how many rows each version is right: the champion, and the challenger."""
        problem = self.models.problem
        champion, challenger = (
            int(problem.is_right(side, self.labels).sum())
            for side in (self.champion, self.challenger)
        )
        return champion, challenger

    def costs(self, costs: CostSettings | None, only_own: bool) -> tuple[float, float] | None:
        """Money for a thousand rows of champion and challenger: of all rows, or of its own arm."""
        if costs is None:
            return None
        names = pd.Series(costs.values)
        codes = np.asarray(self.models.problem.targets(names)).reshape(-1, 2)
        matrix = dict(zip(map(tuple, codes.tolist()), costs.by_pair.values(), strict=True))
        found = []
        for side, arm in (
            (self.champion, ~self.by_challenger),
            (self.challenger, self.by_challenger),
        ):
            taken = arm if only_own else np.ones(len(arm), dtype=bool)
            pairs = zip(side[taken].tolist(), self.labels[taken].tolist(), strict=True)
            total = sum(matrix.get(pair, 0.0) for pair in pairs)
            found.append(1000 * total / max(int(taken.sum()), 1))
        return found[0], found[1]

    def blocks(self, label_times: np.ndarray) -> Sequence[Block]:
        """The rows by the hour in which their label came, and by arm."""
        right = self.models.problem.is_right(self.production, self.labels)
        hours = label_times.astype("datetime64[h]")
        frame = pd.DataFrame({"hour": hours, "arm": self.by_challenger, "right": right})
        counts = frame.groupby(["hour", "arm"])["right"].agg(["size", "sum"])
        found = []
        for hour in np.unique(hours):
            arms = [
                counts.loc[(hour, arm)] if (hour, arm) in counts.index else (0, 0)
                for arm in (False, True)
            ]
            found.append(Block(*(int(number) for arm in arms for number in arm)))
        return found
