"""The default policy beside the best simple habit, family by family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lakehouse.retraining.policy.decide import RETRAIN
from lakehouse.settings import PolicySettings
from lakehouse.simulation.families import SHAPES, Shape, family_stream
from lakehouse.simulation.habits import HABITS, NEVER, predicted_by_habit
from lakehouse.simulation.learner import learner_for
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.report.runs import as_markdown, in_parallel
from lakehouse.versions.actions import PROMOTE, VERDICTS

_DAYS_BEFORE_FIRST = 6
"""Days of labelled rows that the first model is trained on."""


@dataclass(frozen=True)
class FamilyTask:
    """A run of the policy, and of all habits, on a stream."""

    shape: Shape
    seed: int
    settings: PolicySettings


@dataclass(frozen=True)
class FamilyResult:
    """What a run came to; all are judged on the same rows, those after the first model.

    Attributes:
        shape: of the stream.
        seed: of the stream.
        judged: rows.
        errors: of the policy.
        habits: errors of each habit.
        alarms: of the policy.
        trainings: of the policy, the first included.
        promotions: of the policy, the first included.
    """

    shape: Shape
    seed: int
    judged: int
    errors: int
    habits: dict[str, int]
    alarms: int
    trainings: int
    promotions: int

    @property
    def ratio(self) -> float:
        """The policy's errors in those of the best habit in hindsight."""
        return self.errors / max(1, min(self.habits.values()))


def run_family(task: FamilyTask) -> FamilyResult:
    """Run the policy and the habits on a stream, on one thread."""
    with threadpool_limits(1):
        stream = family_stream(task.shape, task.seed)
        rows, learner = stream.rows, learner_for(stream.rows.problem)
        first_after = task.shape.a_day * _DAYS_BEFORE_FIRST
        loop = Simulation(stream, task.settings, learner, first_after).run()
        predicted = {
            name: predicted_by_habit(rows, habit, learner, first_after)[0]
            for name, habit in HABITS.items()
        }
    is_known = rows.problem.is_known
    judged = is_known(predicted[NEVER]) & is_known(loop.predicted_in_production)
    ledger = loop.ledger
    return FamilyResult(
        task.shape,
        task.seed,
        int(judged.sum()),
        int(rows.wrong(loop.predicted_in_production)[judged].sum()),
        {name: int(rows.wrong(each)[judged].sum()) for name, each in predicted.items()},
        sum(entry.decision.action == RETRAIN for entry in ledger.decisions),
        sum(event.action in VERDICTS for event in loop.events),
        sum(entry.action == PROMOTE for entry in ledger.promotions),
    )


def tasks_of_families(
    shapes: Iterable[Shape], seeds: Sequence[int], settings: PolicySettings
) -> list[FamilyTask]:
    """Return a run for each shape and seed."""
    return [FamilyTask(shape, seed, settings) for shape in shapes for seed in seeds]


def families_report(names: Sequence[str], seeds: Sequence[int], cores: int) -> str:
    """Compare the default with all habits on the named families, or on all of them, as Markdown."""
    shapes = [shape for shape in SHAPES if not names or shape.family in names]
    results = in_parallel(run_family, tasks_of_families(shapes, seeds, PolicySettings()), cores)
    tables = (families_table(results, by_shape) for by_shape in (False, True))
    return "\n\n".join(map(as_markdown, tables))


def families_table(results: Sequence[FamilyResult], by_shape: bool = False) -> pd.DataFrame:
    """A row per family (or shape) with the mean over its runs, then one of the abrupt runs, and one
    of all.
    """
    groups: dict[str, list[FamilyResult]] = {}
    for each in results:
        groups.setdefault(str(each.shape) if by_shape else each.shape.family, []).append(each)
    abrupt = [each for each in results if each.shape.course == "abrupt"]
    lines = [_line(name, group) for name, group in groups.items()]
    if abrupt:
        lines.append(_line("all abrupt ones", abrupt))
    return pd.DataFrame([*lines, _line("all", results)])


def _line(name: str, results: Sequence[FamilyResult]) -> dict[str, object]:
    habits = {habit: np.mean([each.habits[habit] for each in results]) for habit in HABITS}
    days = sum(each.shape.days - _DAYS_BEFORE_FIRST for each in results)
    weeks = days / 7
    return {
        "family": name,
        "runs": len(results),
        "errors": f"{np.mean([each.errors for each in results]):.0f}",
        "best habit": f"{min(habits, key=lambda habit: habits[habit])}",
        "its errors": f"{min(habits.values()):.0f}",
        "never": f"{habits[NEVER]:.0f}",
        "ratio": f"{np.mean([each.ratio for each in results]):.3f}",
        "trainings a week": f"{sum(each.trainings for each in results) / weeks:.2f}",
        "promotions a week": f"{sum(each.promotions for each in results) / weeks:.2f}",
        "alarms a week": f"{sum(each.alarms for each in results) / weeks:.2f}",
    }
