"""Other policies on a lakehouse's own history, row by row beside what production did."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lakehouse.errors import ConfigurationError, TrainingError
from lakehouse.models import MatrixLearner, grid, problem_of
from lakehouse.retraining.policy.candidates.choice import Learner
from lakehouse.settings import ModelSettings, PolicySettings, ThresholdRule
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.policies import NEVER, POLICIES
from lakehouse.simulation.recorded import Recorded, Tally, recorded
from lakehouse.simulation.report.runs import as_markdown, in_parallel
from lakehouse.versions.actions import ROLLBACK

AS_RECORDED, NEVER_RETRAINED = "as recorded", "never retrained"


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
        raise TrainingError(
            f"training.first_after: {len(history.rows)} labelled rows are not enough for a first "
            "model, "
            f"which asks for {first_after}; let more labels come, or write a smaller number"
        )
    decisions = (event.decision.action for event in events if event.action != ROLLBACK)
    return Replayed(
        loop.predicted_in_production,
        events[0].as_of,
        Tally.of(decisions, (event.action for event in events)),
    )


def replay_all(
    history: Recorded, policies: Mapping[str, PolicySettings], model: ModelSettings, cores: int
) -> dict[str, Replayed]:
    """All policies in so many processes, with a progress bar.

    Raises:
        ConfigurationError: a policy looks at a metric that labels and predicts alone do not give.
        TrainingError: no day has labels enough for a first model.
    """
    for name, policy in policies.items():
        _check(name, policy)
    work = partial(_replay_one, history=history, model=model)
    return dict(zip(policies, in_parallel(work, list(policies.values()), cores), strict=True))


def _replay_one(policy: PolicySettings, history: Recorded, model: ModelSettings) -> Replayed:
    return replay(history, policy, learner_of(model), model.training.first_after)


def _check(name: str, policy: PolicySettings) -> None:
    asked = [rule.metric for rule in policy.rules if isinstance(rule, ThresholdRule)]
    strange = [metric for metric in asked if metric != "accuracy_score"]
    if strange:
        raise ConfigurationError(
            f"{name}: rules.threshold.metric: {strange[0]} cannot be replayed; write "
            "accuracy_score, or leave it out"
        )


def compared(history: Recorded, replays: Mapping[str, Replayed]) -> pd.DataFrame:
    """A row per policy, all judged on the same rows: those that each had a model for, production's
    own too.

    They begin when the last of the first models was there. Where production has predicted nothing,
    it has no row.

    Raises:
        TrainingError: there are no such rows.
    """
    judged = judged_rows(history, replays)
    rows = []
    if history.rows.problem.is_known(history.predicted_in_production).any():
        rows.append(
            _line(AS_RECORDED, history, history.predicted_in_production, history.tally, judged)
        )
    rows += [
        _line(name, history, each.predicted_in_production, each.tally, judged)
        for name, each in replays.items()
    ]
    return pd.DataFrame(rows)


def report_of(
    root: str, model: ModelSettings, asked: Mapping[str, PolicySettings], cores: int
) -> str:
    """The comparison on a lakehouse's labels as Markdown, after it a line that says what was judged
    and fitted.

    Raises:
        ConfigurationError, StoreError, TrainingError: see `recorded` and `replay_all`.
    """
    policies = {NEVER_RETRAINED: POLICIES[NEVER]} | {
        name: each for name, each in asked.items() if name != NEVER
    }
    history = recorded(root, model)
    replays = replay_all(history, policies, model, cores)
    trial, event_time = (
        learner_of(model).trial,
        history.rows.event_time[judged_rows(history, replays)],
    )
    span = " to ".join(
        str(moment.astype("datetime64[m]")).replace("T", " ") for moment in event_time[[0, -1]]
    )
    return (
        f"{as_markdown(compared(history, replays))}\n\n"
        f"judged: rows made from {span}; {len(history.nights)} label days; each training: "
        f"{trial.name.strip()}"
    )


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
    name: str,
    history: Recorded,
    predicted_in_production: np.ndarray,
    tally: Tally,
    judged: np.ndarray,
) -> dict[str, object]:
    rows = int(judged.sum())
    wrong = int(history.rows.wrong(predicted_in_production)[judged].sum())
    return {
        "policy": name,
        "labelled rows judged": rows,
        "errors": wrong,
        "accuracy": f"{1 - wrong / rows:.4f}",
        "alarms": tally.alarms,
        "trainings": tally.trainings,
        "refused": tally.refused,
        "promotions": tally.promotions,
        "rolled back": tally.rolled_back,
    }
