"""Does the real pipeline take the same decisions as the simulation that the policy was tuned on, all of the demo?

The demo's nights, one by one, through ingest, scoring, facts and the policy, on glassware's settings with a single
family (the one that the simulation fits); then `Loop` over the same stream. Compared are every decision (as-of, action,
rule, date and interval of the change, evidence), every verdict (action, evidence, candidate) and what each piece was
called. Versions are compared by the order of their promotion: the registry numbers refused challengers too.

    python -m tests.benchmarks.parity [SEED] [SCENARIO]

Exit code 1 where anything differs. Of 2026-11-22, seed 0, all 43 nights, on 2 cores that others used too:

    simulation: 6 s, 25 verdicts
    pipeline: 317 s
    compared: 43 decisions, 25 verdicts, 6656 calls; 0 differences
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lakehouse.demo.nights import run_nights
from lakehouse.estimators import MatrixLearner, grid, problem_of
from lakehouse.glassware.stream import FIRST_PID, Stream
from lakehouse.session import open_session
from lakehouse.settings import EnvironmentSettings, ModelSettings, load_model_settings
from lakehouse.simulation.loop import Event, Loop
from lakehouse.simulation.world import world_of
from lakehouse.stations.lakehouse import Lakehouse, open_lakehouse
from lakehouse.stations.policy_loop import BLIND
from lakehouse.stations.promotion import promotions
from lakehouse.steps.aggregate_kpis import PREDICTION
from lakehouse.steps.policy.decide import Decision
from lakehouse.steps.policy.detect import RETURNED
from lakehouse.steps.policy.document import PolicyRecord, instant
from lakehouse.steps.promote import PROMOTE
from lakehouse.store import Row

FAMILIES = {"decision_tree": {"ccp_alpha": [0.005]}}
ROUNDING = 1e-9
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would double the time

Facts = dict[str, Any]


def settings() -> ModelSettings:
    """Glassware's, with one family."""
    model = load_model_settings("conf/glassware.yaml")
    return model.model_copy(update={"training": model.training.model_copy(update={"families": FAMILIES})})


def simulated(model: ModelSettings, seed: int, scenario: str, nights: Sequence[np.datetime64] | None = None) -> Loop:
    """The loop over the stream of the seed, by the given nights, or all of them."""
    learner = MatrixLearner(grid([""], model.training.families)[0], problem_of(model), model.training.seed)
    with threadpool_limits(1):
        return Loop(world_of(scenario, seed), model.policy, learner, model.training.first_after).run(nights)


def decisions_of(lakehouse: Lakehouse) -> list[Row]:
    """What the pipeline decided, in order; labels that are overdue are no decision."""
    rows = [row for row in lakehouse.store.rows(lakehouse.catalog.decision) if row["action"] != BLIND]
    return sorted(rows, key=lambda row: row["decided_at"])


def numbers_of(verdicts: list[Row]) -> dict[str, int]:
    """The number that the simulation gives each promoted version: by the order of first promotions."""
    promoted = dict.fromkeys(row["to_version"] for row in verdicts if row["action"] == PROMOTE)
    return {version: number for number, version in enumerate(promoted, 1)}


def of_decision(as_of: np.datetime64, decision: Decision) -> Facts:
    """What is compared of a simulated decision."""
    facts = {"as_of": as_of, "action": decision.action, "rule": decision.rule, "change_at": decision.change_at}
    first, last = decision.change_between or (None, None)
    return facts | {"between from": first, "between to": last} | decision.evidence


def of_decision_row(row: Row, numbers: Mapping[str, int]) -> Facts:
    """The same of a row of gold.decision."""
    moments = {"as_of": row["as_of"], "change_at": row["change_at"]}
    between = row["change_between"] or {"from": None, "to": None}
    moments |= {f"between {side}": between[side] for side in ("from", "to")}
    evidence = {name: value for name, value in dict(row["evidence"]).items() if name not in ("needed", "sure")}
    if RETURNED in evidence:
        evidence[RETURNED] = float(numbers[str(int(evidence[RETURNED]))])
    found = {name: None if moment is None else instant(moment) for name, moment in moments.items()}
    return {"action": row["action"], "rule": row["rule"]} | found | evidence


def of_event(event: Event) -> Facts:
    """What is compared of a simulated verdict; of the rows that are brought back only which they are."""
    facts = {"as_of": event.as_of, "action": event.action}
    return facts | ({"candidate": event.candidate} if event.action == PROMOTE else {}) | event.judgement.evidence


def of_verdict_row(row: Row, event: Event | None, numbers: Mapping[str, int]) -> Facts:
    """The same of a row of gold.promotion; of its evidence, what the simulation has too."""
    facts: Facts = {"as_of": instant(row["as_of"]), "action": row["action"]}
    if row["action"] == PROMOTE:
        name = PolicyRecord.from_json(row["policy_record"]).candidate
        if event is not None and event.candidate.startswith("version "):
            name = f"version {row['to_version']}"
        words = name.rsplit(" ", 1)
        facts["candidate"] = f"{words[0]} {numbers[words[1]]}" if words[-1] in numbers else name
    known = event.judgement.evidence if event is not None else {}
    return facts | {name: value for name, value in dict(row["evidence"]).items() if name in known}


def differences(what: str, real: Facts | None, expected: Facts | None) -> Iterator[str]:
    """In words, field by field."""
    if real is None or expected is None:
        side, alone = ("simulation", expected) if real is None else ("pipeline", real)
        yield f"{what}: only in the {side}: {alone}"
        return
    for name in sorted(real.keys() | expected.keys()):
        left, right = real.get(name), expected.get(name)
        if isinstance(left, float) and isinstance(right, float):
            same = bool(np.isclose(left, right, rtol=ROUNDING, atol=ROUNDING, equal_nan=True))
        else:
            same = left == right
        if not same:
            yield f"{what} of {expected['as_of']}: {name} is {left} in the pipeline, {right} in the simulation"


def compared(lakehouse: Lakehouse, loop: Loop) -> tuple[dict[str, int], list[str]]:
    """How much was compared, and what differs."""
    rows = decisions_of(lakehouse)
    verdicts = [row for row in promotions(lakehouse) if row["to_version"]]
    numbers = numbers_of(verdicts)
    found: list[str] = []
    for row, asked in zip_longest(rows, loop.decisions):
        real, expected = row and of_decision_row(row, numbers), asked and of_decision(*asked)
        found += differences("decision", real, expected)
    for row, event in zip_longest(verdicts, loop.events):
        real, expected = row and of_verdict_row(row, event, numbers), event and of_event(event)
        found += differences("verdict", real, expected)
    calls, found_in_calls = compared_calls(lakehouse, loop)
    found += found_in_calls
    return {"decisions": len(rows), "verdicts": len(verdicts), "calls": calls}, found


def compared_calls(lakehouse: Lakehouse, loop: Loop) -> tuple[int, list[str]]:
    """Of how many pieces the simulation's call was compared with the prediction, and what differs."""
    columns = [lakehouse.model.key, PREDICTION]
    rows = lakehouse.store.arrow(lakehouse.catalog.predictions, columns=columns).to_pandas()
    called = np.full(len(loop.called), -1)
    called[rows[lakehouse.model.key] - FIRST_PID - 1] = rows[PREDICTION]
    known = loop.called >= 0
    other = int((called != loop.called)[known].sum())
    return int(known.sum()), [f"{other} pieces are called otherwise, or not at all"] if other else []


def main(seed: int = 0, scenario: str = "demo") -> None:
    """Runs both, and compares."""
    model, began = settings(), time.monotonic()
    loop = simulated(model, seed, scenario)
    print(f"simulation: {time.monotonic() - began:.0f} s, {len(loop.events)} verdicts", flush=True)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        session = open_session()
        session.sparkContext.setLogLevel("ERROR")
        lakehouse, began = open_lakehouse(session, model, EnvironmentSettings(root=folder)), time.monotonic()
        run_nights(lakehouse, Stream(scenario, seed), None)
        print(f"pipeline: {time.monotonic() - began:.0f} s")
        figures, found = compared(lakehouse, loop)
    print(f"compared: {', '.join(f'{count} {name}' for name, count in figures.items())}; {len(found)} differences")
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(*(int(word) if word.isdigit() else word for word in sys.argv[1:]))
