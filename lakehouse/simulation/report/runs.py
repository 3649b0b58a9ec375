"""Many runs of many policies in parallel, and the table that sums them up."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from lakehouse.retraining.policy.decide import RETRAIN, TRAIN_FIRST
from lakehouse.settings import PolicySettings, RolloutSettings
from lakehouse.simulation.arrays import Event
from lakehouse.simulation.habits import NEVER
from lakehouse.simulation.loop import Simulation
from lakehouse.simulation.oracle import oracle_regret, regret
from lakehouse.simulation.world import World, world_of
from lakehouse.versions.actions import PROMOTE, REFUSE, ROLLBACK

T = TypeVar("T")
R = TypeVar("R")
_DAY = np.timedelta64(1, "D")
HALF_A_POINT, A_POINT = -0.005, -0.01


@dataclass(frozen=True)
class Task:
    """A run: policy, scenario, seed, and how winners come into production."""

    policy: str
    settings: PolicySettings
    scenario: str
    seed: int
    rollout: RolloutSettings = field(default_factory=RolloutSettings)


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        policy: its name.
        scenario: its name.
        seed: of the stream.
        days: how long the policy was at work, after the first model.
        regret: expected errors beyond the best grader's, from the day of the first drift on.
        oracle: the same of the better oracle.
        delays: for each drift, label batches from the first with rows of it to the alarm; 0 at
            once, inf never.
        drifted: for each drift, how many of its rows the first such batch holds.
        false_alarms: alarms while nothing had changed since the last alarm that was answered by a
            promotion.
        trainings: how many, the first included.
        refused: how many challengers the gate refused.
        rollbacks: how many.
        gains: true gain of each promotion after the first.
    """

    policy: str
    scenario: str
    seed: int
    days: float
    regret: float
    oracle: float
    delays: tuple[float, ...]
    drifted: tuple[int, ...]
    false_alarms: int
    trainings: int
    refused: int
    rollbacks: int
    gains: tuple[float, ...]


def run(task: Task) -> Result:
    """Simulate one run, on one thread."""
    with threadpool_limits(1):
        world = world_of(task.scenario, task.seed)
        loop = Simulation(world, task.settings, rollout=task.rollout).run()
        oracle = oracle_regret(world)
    events = loop.events
    first = events[0].as_of if events else world.event_time[-1]
    delays, drifted = _delays(world, events)
    judged = [event for event in events if event.decision.action != TRAIN_FIRST]
    return Result(
        task.policy,
        task.scenario,
        task.seed,
        float((world.label_time[-1] - first) / _DAY),
        regret(world, loop.predicted_in_production),
        oracle,
        delays,
        drifted,
        _false_alarms(world, events),
        sum(event.action != ROLLBACK for event in events),
        sum(event.action == REFUSE for event in judged),
        sum(event.action == ROLLBACK for event in events),
        tuple(event.gain for event in judged if event.action == PROMOTE),
    )


def tasks_of(
    policies: Mapping[str, PolicySettings],
    scenarios: Sequence[str],
    seeds: Sequence[int],
    rollouts: Mapping[str, RolloutSettings] | None = None,
) -> list[Task]:
    """Every policy on every stream: a run per scenario, policy and seed; with each of the rollouts,
    whose names stand behind the policy's.
    """
    kinds = rollouts or {"": RolloutSettings()}
    runs = itertools.product(scenarios, policies.items(), kinds.items(), seeds)
    return [
        Task(f"{name}, {kind}" if kind else name, settings, scenario, seed, rollout)
        for scenario, (name, settings), (kind, rollout), seed in runs
    ]


def run_all(tasks: Sequence[Task], cores: int) -> list[Result]:
    """All runs in so many processes, with a progress bar; in the order of the tasks."""
    return in_parallel(run, tasks, cores)


def in_parallel(work: Callable[[T], R], tasks: Sequence[T], cores: int) -> list[R]:
    """Return what the work gives for each task, in their order; in so many processes, with a
    progress bar.
    """
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as row_rule:
        waiting = {row_rule.submit(work, task): place for place, task in enumerate(tasks)}
        found: dict[int, R] = {}
        for done in tqdm(as_completed(waiting), total=len(tasks), unit="run", smoothing=0):
            found[waiting[done]] = done.result()
    return [found[place] for place in range(len(tasks))]


def summary(results: Iterable[Result]) -> pd.DataFrame:
    """A row per scenario and policy, in the order in which they first come."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.scenario, result.policy), []).append(result)
    idle = {scenario: groups.get((scenario, NEVER), []) for scenario, _ in groups}
    return pd.DataFrame([_row(*key, group, idle[key[0]]) for key, group in groups.items()])


def as_markdown(table: pd.DataFrame) -> str:
    """The table for docs/policy-evidence.md."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += [
        "| " + " | ".join(str(value) for value in row) + " |"
        for row in table.itertuples(index=False)
    ]
    return "\n".join(lines)


def excesses(results: Iterable[Result]) -> np.ndarray:
    """Regret above the oracle's, per cent, by run."""
    return np.array([100 * (each.regret / each.oracle - 1) for each in results if each.oracle > 0])


def worse_than_idle(results: Iterable[Result], idle: Iterable[Result]) -> np.ndarray:
    """Return whether each run made more errors than one of the same stream that never retrained."""
    errors = {each.seed: each.regret for each in idle}
    return np.array(
        [
            each.regret > errors[each.seed]
            for each in results
            if each.seed in errors and each.oracle > 0
        ]
    )


def _row(
    scenario: str, policy: str, results: Sequence[Result], idle: Sequence[Result]
) -> Mapping[str, object]:
    years = sum(each.days for each in results) / 365
    gains = np.array([gain for each in results for gain in each.gains])
    above, worse = excesses(results), worse_than_idle(results, idle)
    harm = [(gains < least).sum() / years for least in (HALF_A_POINT, A_POINT)]
    return {
        "scenario": scenario,
        "policy": policy,
        "runs": len(results),
        "errors (oracle)": _spread([each.regret for each in results])
        + f" ({_spread([each.oracle for each in results])})"
        if len(above)
        else "",
        "excess %, median / p90": _spread(above),
        "worse than never, %": f"{100 * worse.mean():.0f}" if len(worse) else "",
        "noticed in batch 1, 2 %": _noticed(results),
        "false alarms a year": f"{sum(each.false_alarms for each in results) / years:.2f}",
        "harmful > .5, > 1 point a year": f"{harm[0]:.2f}, {harm[1]:.2f}",
        "trainings": f"{np.mean([each.trainings for each in results]):.1f}",
        "refused": f"{np.mean([each.refused for each in results]):.1f}",
        "rolled back": f"{np.mean([each.rollbacks for each in results]):.2f}",
    }


def _spread(values: Sequence[float] | np.ndarray) -> str:
    return f"{np.median(values):.0f} / {np.percentile(values, 90):.0f}" if len(values) else ""


def _noticed(results: Sequence[Result]) -> str:
    """By drift: the share of runs that noticed it in the first, and by the second, batch that holds
    rows of it.
    """
    shares = []
    for delays in zip(*(each.delays for each in results), strict=True):
        late = np.array(delays)
        shares.append(f"{100 * (late <= 0).mean():.0f}, {100 * (late <= 1).mean():.0f}")
    return "; ".join(shares)


def _alarms(events: Sequence[Event]) -> list[Event]:
    """Alarms: trainings that a rule asked for."""
    return [event for event in events if event.decision.action == RETRAIN]


def _delays(world: World, events: Sequence[Event]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    alarms = np.array([event.as_of for event in _alarms(events)], dtype="datetime64[us]")
    firsts = [world.label_time[start] for start in world.starts[1:]]
    delays, drifted = [], []
    for place, (start, first) in enumerate(zip(world.starts[1:], firsts, strict=True)):
        end = firsts[place + 1] if place + 1 < len(firsts) else world.label_time[-1] + _DAY
        within = alarms[(alarms >= first) & (alarms < end)]
        batches = world.nights[world.nights >= first]
        delays.append(float(np.searchsorted(batches, within[0])) if len(within) else np.inf)
        drifted.append(int((world.label_time[start:] == first).sum()))
    return tuple(delays), tuple(drifted)


def _false_alarms(world: World, events: Sequence[Event]) -> int:
    """Alarms with no change of regime since the last promotion at an alarm; none count where the
    rule creeps.
    """
    firsts = [world.label_time[start] for start in world.starts[1:]]
    count, seen = 0, 0
    for event in _alarms(events):
        now = sum(first <= event.as_of for first in firsts)
        creeping = now > 0 and world.variant.course.regimes[now].creep is not None
        if now == seen and not creeping:
            count += 1
        elif event.action == PROMOTE:
            seen = now
    return count
