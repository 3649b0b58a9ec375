"""What is each part of the policy worth? Errors with it, and without, on the same streams.

The families are others than those that the parts were made for; the demo is of the glass works.

    PYTHONPATH=. python tests/benchmarks/ablation.py [SEEDS] [FIRST_SEED] [CORES]

Figures: docs/policy-evidence.md, "What each part is worth".
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lakehouse.retraining import loop
from lakehouse.retraining.policy.candidates.choice import Candidate, candidates_of
from lakehouse.retraining.policy.records import RowRule
from lakehouse.settings import PolicySettings
from lakehouse.simulation.arrays import StreamTrainer
from lakehouse.simulation.families import SHAPES, Shape, family_stream
from lakehouse.simulation.learner import learner_for
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.oracle import regret
from lakehouse.simulation.report.runs import as_markdown, in_parallel
from lakehouse.simulation.world import world_of
from lakehouse.versions.actions import ROLLBACK

FAMILIES = ("agrawal", "chances", "rbf", "ten_features", "led")
DEMO = "demo"
WHOLE = "all parts"
_DEMOS = 4
"""Runs of the demo to one of each shape: it is shorter."""
Without = Callable[[], AbstractContextManager[object]]


def offering(kept: Callable[[Candidate], bool]) -> Without:
    """Return what offers the kept candidates alone; all of them where none is kept."""

    def offered(*given: object) -> list[Candidate]:
        found = candidates_of(*given)
        return [each for each in found if kept(each)] or found

    return lambda: patch.object(loop, "candidates_of", offered)


def silencing(method: str) -> Without:
    """Return what lets a method of the trainer say nothing."""
    return lambda: patch.object(StreamTrainer, method, lambda *_: None)


def counting_selected() -> AbstractContextManager[object]:
    """Count the old rows, too, that were selected to agree with new labels."""
    return patch.object(RowRule, "thinned", lambda _, rows: np.zeros(len(rows), dtype=bool))


PARTS: Mapping[str, tuple[Without, Mapping[str, object]]] = {
    WHOLE: (nullcontext, {}),
    "old rows that new labels do not contradict": (offering(lambda each: each.old is None), {}),
    "archived versions as they are": (offering(lambda each: each.version is None), {}),
    "the newest 30, 7 and 3 days": (offering(lambda each: each.span is None), {}),
    "candidates compared forward": (silencing("forward_choice"), {}),
    "selected rows not counted": (counting_selected, {}),
    "probation": (nullcontext, {"probation": {"rows": 0}}),
    "refresh": (nullcontext, {"price": None}),
    "alarms": (nullcontext, {"rules": [{"rule": "shiryaev_roberts", "alarm": 1e300}]}),
}
"""By part: what takes it out, or the settings without it."""


@dataclass(frozen=True)
class Task:
    """A run without a part; of the demo, where there is no shape."""

    part: str
    shape: Shape | None
    seed: int

    @property
    def stream(self) -> str:
        """Its name."""
        return self.shape.family if self.shape else DEMO


def run(task: Task) -> tuple[float, int]:
    """Return the errors (of the demo: beyond the best grader's), and the trainings."""
    without, changed = PARTS[task.part]
    settings = PolicySettings.model_validate(changed)
    with threadpool_limits(1), without():
        if task.shape is None:
            world = world_of(DEMO, task.seed)
            done = Simulation(world, settings).run()
            errors = regret(world, done.predicted_in_production)
        else:
            plant = family_stream(task.shape, task.seed)
            learner = learner_for(plant.rows.problem)
            done = Simulation(plant, settings, learner, 6 * task.shape.a_day).run()
            predicted = done.predicted_in_production
            judged = plant.rows.problem.is_known(predicted)
            errors = float(plant.rows.wrong(predicted)[judged].sum())
    return errors, sum(event.action != ROLLBACK for event in done.events)


def table(tasks: list[Task], found: list[tuple[float, int]]) -> pd.DataFrame:
    """A row per part: errors without it in those with all parts by stream, and trainings of all."""
    frame = pd.DataFrame(
        {
            "part": [task.part for task in tasks],
            "stream": [task.stream for task in tasks],
            "errors": [errors for errors, _ in found],
            "trainings": [trainings for _, trainings in found],
        }
    )
    errors = frame.pivot_table("errors", "part", "stream", "sum", sort=False)
    ratios = (errors / errors.loc[WHOLE]).map("{:.3f}".format)
    ratios.loc[WHOLE] = errors.loc[WHOLE].map("{:.0f} errors".format)
    ratios["trainings"] = frame.groupby("part")["trainings"].sum().map(str)
    return ratios.reset_index(names="without")


def main() -> None:
    """Run what the command line says."""
    seeds, first, cores = (
        int(word) for word in [*sys.argv[1:], *["1", "301", "2"][len(sys.argv) - 1 :]]
    )
    shapes = [shape for shape in SHAPES if shape.family in FAMILIES]
    numbers = range(first, first + seeds)
    of_demo = range(first, first + _DEMOS * seeds)
    tasks = [
        *(Task(part, shape, seed) for part in PARTS for seed in numbers for shape in shapes),
        *(Task(part, None, seed) for part in PARTS for seed in of_demo),
    ]
    print(as_markdown(table(tasks, in_parallel(run, tasks, cores))))


if __name__ == "__main__":
    main()
