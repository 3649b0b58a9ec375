"""Other policies on a lakehouse's own history, row by row beside what production did."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import yaml
from threadpoolctl import threadpool_limits

from lakehouse.errors import ConfigurationError, TrainingError
from lakehouse.models import MatrixLearner, grid, problem_of
from lakehouse.retraining.policy.candidates.choice import Learner
from lakehouse.settings import (
    ModelSettings,
    PolicySettings,
    ScheduledRule,
    ThresholdRule,
    load_model_settings,
)
from lakehouse.simulation.habits import HABITS, NEVER, Habit, predicted_by_habit
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.policies import POLICIES
from lakehouse.simulation.recorded import Recorded, Tally, recorded
from lakehouse.simulation.report.runs import as_markdown, in_parallel
from lakehouse.versions.actions import ROLLBACK

AS_RECORDED = "as recorded"


@dataclass(frozen=True)
class Replayed:
    """What a policy would have come to.

    Attributes:
        predicted_in_production: what its champions would have predicted for each row; unknown
            before the first.
        since: as-of of its first model.
        tally: what it would have done.
    """

    predicted_in_production: np.ndarray
    since: np.datetime64
    tally: Tally


def learner_of(model: ModelSettings) -> MatrixLearner:
    """Return what each training of a replay fits: the first point of the first family, by which
    candidates are compared.
    """
    return MatrixLearner(
        grid([""], model.training.families)[0], problem_of(model), model.training.seed
    )


def replay(
    history: Recorded, policy: PolicySettings, learner: Learner, first_after: int
) -> Replayed:
    """The policy from the first label on, deciding once for each day on which labels came.

    It decides as the pipeline would, but for what is not in the labels: slices and latency are not
    asked of a challenger, no family is tuned, and a training takes every row.

    Raises:
        TrainingError: no day has labels enough for a first model.
    """
    with threadpool_limits(1):
        loop = Simulation(history, policy, learner, first_after).run(list(history.nights))
    events = loop.events
    if not events:
        raise TrainingError(too_few_rows(len(history.rows), first_after))
    decisions = (event.decision.action for event in events if event.action != ROLLBACK)
    return Replayed(
        loop.predicted_in_production,
        events[0].as_of,
        Tally.of(decisions, (event.action for event in events)),
    )


def replay_all(
    history: Recorded, policies: Mapping[str, PolicySettings], model: ModelSettings, cores: int
) -> dict[str, Replayed]:
    """All policies in so many processes, with a progress bar; habits without the loop.

    Raises:
        ConfigurationError: a policy looks at a metric that labels and predicts alone do not give.
        TrainingError: no day has labels enough for a first model.
    """
    for name, policy in policies.items():
        _check(name, policy)
    work = partial(_replay_one, history=history, model=model)
    return dict(zip(policies, in_parallel(work, list(policies.items()), cores), strict=True))


def _replay_one(
    named: tuple[str, PolicySettings], history: Recorded, model: ModelSettings
) -> Replayed:
    name, policy = named
    learner, first_after = learner_of(model), model.training.first_after
    if name in HABITS:
        return _of_habit(HABITS[name], history, learner, first_after)
    return replay(history, policy, learner, first_after)


def _of_habit(habit: Habit, history: Recorded, learner: Learner, first_after: int) -> Replayed:
    rows = history.rows
    with threadpool_limits(1):
        predicted, trained = predicted_by_habit(rows, habit, learner, first_after)
    if not trained:
        raise TrainingError(too_few_rows(len(rows), first_after))
    tally = Tally(0, len(trained), 0, len(trained), 0)
    return Replayed(predicted, trained[0], tally)


def too_few_rows(rows: int, first_after: int) -> str:
    """Say that there are not labels enough for a first model."""
    return (
        f"training.first_after: {rows} labelled rows are not enough for a first model, which asks "
        f"for {first_after}; let more labels come, or write a smaller number"
    )


def _check(name: str, policy: PolicySettings) -> None:
    asked = [rule.metric for rule in policy.rules if isinstance(rule, ThresholdRule)]
    strange = [metric for metric in asked if metric != "accuracy_score"]
    if strange:
        raise ConfigurationError(
            f"{name}: rules.threshold.metric: {strange[0]} cannot be replayed; write "
            "accuracy_score, or leave it out"
        )


def compared(history: Recorded, replays: Mapping[str, Replayed]) -> pd.DataFrame:
    """A row per policy, the best first, all judged on the same rows: those that each had a model
    for, production's own too.

    They begin when the last of the first models was there. Where production has predicted nothing,
    it has no row.

    Raises:
        TrainingError: there are no such rows.
    """
    judged = judged_rows(history, replays)
    sides = {name: (each.predicted_in_production, each.tally) for name, each in replays.items()}
    if history.rows.problem.is_known(history.predicted_in_production).any():
        sides[AS_RECORDED] = history.predicted_in_production, history.tally
    wrong = {name: history.rows.wrong(side[0])[judged] for name, side in sides.items()}
    order = sorted(sides, key=lambda name: (wrong[name].sum(), sides[name][1].trainings))
    days = history.rows.event_time[judged].astype("datetime64[D]")
    return pd.DataFrame(
        [_line(name, wrong[name], wrong[order[0]], days, sides[name][1]) for name in order]
    )


def report_of(root: str, model_file: str, asked: Mapping[str, PolicySettings], cores: int) -> str:
    """The comparison on a lakehouse's labels as Markdown, what was judged and fitted, and the best
    policy as YAML to paste.

    Raises:
        ConfigurationError, StoreError, TrainingError: see `recorded` and `replay_all`.
    """
    model = load_model_settings(model_file)
    policies = {NEVER: POLICIES[NEVER]} | dict(asked)
    history = recorded(root, model)
    replays = replay_all(history, policies, model, cores)
    table, judged = compared(history, replays), judged_rows(history, replays)
    event_time = history.rows.event_time[judged]
    span = " to ".join(
        str(moment.astype("datetime64[m]")).replace("T", " ") for moment in event_time[[0, -1]]
    )
    best = next(name for name in table["policy"] if name != AS_RECORDED)
    yaml_lines = yaml.safe_dump(_written(policies[best]), sort_keys=False)
    return (
        f"{as_markdown(table)}\n\n"
        f"judged: rows made from {span}; {len(history.nights)} label days; each training: "
        f"{learner_of(model).trial.name.strip()}\n\n"
        f"The best of them on these labels is {best!r}. Its settings, for the model's YAML:\n\n"
        f"{yaml_lines}"
    )


def _written(policy: PolicySettings) -> dict[str, Any]:
    """Return what differs from the defaults, as it stands in YAML."""
    settings = policy.model_dump(mode="json", exclude_defaults=True)
    if "windows" in settings.get("candidates", {}):
        settings["candidates"]["windows"] = [
            f"{span.days} days" for span in policy.candidates.windows
        ]
    for rule, given in zip(settings.get("rules", ()), policy.rules, strict=False):
        rule["rule"] = given.rule
        if isinstance(given, ScheduledRule):
            rule["every"] = f"{given.every.days} days"
    return {"policy": settings}


def judged_rows(history: Recorded, replays: Mapping[str, Replayed]) -> np.ndarray:
    """Mask of the rows that every one of them had a model for.

    Raises:
        TrainingError: there are none.
    """
    starts = [each.since for each in replays.values()]
    starts += [history.since] if history.since is not None else []
    judged = history.rows.event_time >= max(starts)
    predictions = [each.predicted_in_production for each in replays.values()]
    is_known = history.rows.problem.is_known
    predictions += (
        [history.predicted_in_production] if is_known(history.predicted_in_production).any() else []
    )
    found = np.logical_and.reduce([judged, *map(is_known, predictions)])
    if not found.any():
        raise TrainingError(
            "no row that was made after the first model has a label yet; let more labels come"
        )
    return found


def _line(
    name: str, wrong: np.ndarray, best: np.ndarray, days: np.ndarray, tally: Tally
) -> dict[str, object]:
    rows = len(wrong)
    more, half = difference(wrong, best, days)
    return {
        "policy": name,
        "labelled rows judged": rows,
        "errors": int(wrong.sum()),
        "more than the best (95 %)": f"{more:.0f} ± {half:.0f}" if more or half else "",
        "accuracy": f"{1 - wrong.mean():.4f}",
        "alarms": tally.alarms,
        "trainings": tally.trainings,
        "refused": tally.refused,
        "promotions": tally.promotions,
        "rolled back": tally.rolled_back,
    }


def difference(wrong: np.ndarray, best: np.ndarray, days: np.ndarray) -> tuple[float, float]:
    """Return how many more errors there are, and half of the width of the 95 % interval.

    The rows are paired. Rows of a day are not independent, since they have the same models; so the
    variance is that of the days' differences: a cluster-robust one (Liang and Zeger, Biometrika 73,
    1986).
    """
    _, day = np.unique(days, return_inverse=True)
    by_day = np.bincount(day, wrong.astype(float) - best.astype(float))
    spread = by_day.std(ddof=1) if len(by_day) > 1 else 0.0
    return float(by_day.sum()), float(1.96 * spread * np.sqrt(len(by_day)))
