"""A run that dies at any step, and is started again with nothing repaired, ends as if it had not."""

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.counterfactual.comparison import compare_with_alternatives
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.lineage.verification import DIFFERENT
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.verification.verify import checks_of
from tests.support.alike import differences
from tests.support.kills import KilledError, Steps, stepping
from tests.support.small_model import land_lines, readings, small_lakehouse, truths

A_DAY = 144
STEPS: tuple[Callable[[Lakehouse], object], ...] = (
    lambda lakehouse: ingest(lakehouse, AVAILABLE_NOW),
    lambda lakehouse: retrain_and_promote(lakehouse, AVAILABLE_NOW),
    lambda lakehouse: score(lakehouse, AVAILABLE_NOW),
    lambda lakehouse: aggregate_kpis(lakehouse, AVAILABLE_NOW),
    compare_with_alternatives,
)
"""Those of the night in which a first model comes."""
NAMED = {
    *("batch of ingest", "batch of score", "batch of aggregate_kpis"),
    *("write of silver.scoring_ledger", "write of silver.guess", "write of gold.window_facts"),
    *("SparkTrainer.fit", "Registry.register", "write of gold.promotion", "Registry.promote"),
}
"""Effects before and after which a run has died at the end, among others."""


def land_night(lakehouse: Lakehouse, number: int) -> None:
    """A day's readings with their labels; a line is broken, one says what another has said."""
    numbers = range(number * A_DAY, (number + 1) * A_DAY)
    read, told = readings(numbers), truths(numbers)
    broken = {**read[-1], "id": -1 - number, "x": "much"}
    land_lines(lakehouse, f"night-{number}", [*read, broken, read[0]], [*told, told[0]])


def undisturbed(open_anew: Callable[[], Lakehouse]) -> None:
    for step in STEPS:
        step(open_anew())


def killed_at_every_step(open_anew: Callable[[], Lakehouse], died_at: set[str]) -> None:
    """Run each step of a night again and again; each time it dies where it has not yet."""
    for step in STEPS:
        while True:
            steps = Steps(lambda name: name not in died_at)
            try:
                with stepping(steps):
                    step(open_anew())
                break
            except KilledError:
                died_at.add(steps.reached[-1])


def test_a_run_killed_at_every_step_ends_as_one_that_nothing_disturbed(
    spark: SparkSession, tmp_path: Path
):
    def whole() -> Lakehouse:
        return small_lakehouse(spark, tmp_path / "whole")

    def killed() -> Lakehouse:
        return small_lakehouse(spark, tmp_path / "killed")

    died_at: set[str] = set()
    land_night(whole(), 0)
    land_night(killed(), 0)
    undisturbed(whole)
    killed_at_every_step(killed, died_at)
    # Small files are gathered when the row is written.
    died_at = {name.replace("before gather of", "after write of") for name in died_at}
    assert died_at >= {f"{when} {name}" for name in NAMED for when in ("before", "after")}
    for open_anew in (whole, killed):
        land_night(open_anew(), 1)
        undisturbed(open_anew)
    assert not (found := differences(whole().store, killed().store)), "\n".join(found)
    checks = list(checks_of(killed(), account(killed())))
    assert [check for check in checks if check.state == DIFFERENT] == []
