"""A rollout in the loop: a winner begins one, labels and persons end it, and it ends as today's
promotions do.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.rollout import main
from lakehouse.errors import ConfigurationError, RegistryError, RegistryUnreachableError
from lakehouse.instants import instant
from lakehouse.labels.labelled_rows import labelled_between
from lakehouse.models import features_of
from lakehouse.retraining import rollout_by_hand
from lakehouse.retraining.policy.decide import REFRESH, RETRAIN, Decision
from lakehouse.retraining.policy.rollout_rules import held_for_rollout
from lakehouse.retraining.rollout_night import advance, labelled_of
from lakehouse.retraining.table_ledger import TableLedger
from lakehouse.rollouts.arms import answers
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.registry import Registry
from lakehouse.storage.store import Row
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import finish_alias_move, rollback
from lakehouse.versions.rollouts import RolloutLedger, settle
from tests.support.kills import KilledError, Steps, stepping
from tests.support.rolled_out import BEFORE, BEGAN, ROLLOUT, begun, by_canary, scored
from tests.support.small_model import Settings, at, settings_of, small_lakehouse
from tests.support.written import A_DAY, copy_of, ruled, told_at, train

NIGHT = told_at(BEFORE + A_DAY - 1)
"""When the labels of the rollout's first day have come."""


@pytest.fixture(scope="module")
def day_after(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """The first day of the rollout is scored, and its labels have come; to be read and copied."""
    lakehouse = begun(spark, tmp_path_factory.mktemp("night"))
    scored(lakehouse)
    return lakehouse


def copied(
    lakehouse: Lakehouse, folder: Path, change: Callable[[Settings], Any] = by_canary
) -> Lakehouse:
    return copy_of(lakehouse, folder / "lake", change)


def rollout_rows(lakehouse: Lakehouse) -> list[Row]:
    rows = lakehouse.store.rows(lakehouse.catalog.rollout)
    return sorted(rows, key=lambda row: row["recorded_at"])


def promotion_rows(lakehouse: Lakehouse) -> list[tuple[str, str, str, str | None]]:
    columns = ("action", "to_version", "who", "rollout_id")
    return [tuple(row[name] for name in columns) for row in PromotionLedger(lakehouse).rows]


def shown_challenger(lakehouse: Lakehouse) -> str | None:
    """The version that MLflow shows people as the challenger."""
    aliases = lakehouse.registry._client.get_registered_model("small").aliases
    found = aliases.get("challenger")
    return None if found is None else str(found)


def test_people_see_the_challenger_in_mlflow_from_the_start_of_its_rollout_to_its_end(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    assert shown_challenger(day_after) == "2"
    lakehouse = copied(day_after, tmp_path)
    for finished in (False, True):
        rollout_by_hand.end(lakehouse, finished, "ada", "seen enough")
        assert shown_challenger(lakehouse) is None
        if not finished:
            rollout_by_hand.start(lakehouse, "2", "ada", "once more")
            assert shown_challenger(lakehouse) == "2"


def test_the_job_ends_the_rollout_begins_it_again_and_finishes_it(
    day_after: Lakehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lakehouse = copied(day_after, tmp_path)
    model = tmp_path / "model.yaml"
    model.write_text(yaml.safe_dump(settings_of(by_canary), sort_keys=False))
    words = ["--model", str(model), "--root", lakehouse.store.root, "--who", "ada"]
    for asked, told in (
        (["--abort"], "version 2 is not rolled out any more"),
        (["--start", "2"], "version 2 is rolled out (canary, share 25%)"),
        (["--finish"], "version 2 is champion"),
    ):
        main([*words, *asked, "--reason", "ada says so"])
        assert told in capsys.readouterr().out
    rows = [(row["action"], row["who"], row["reason"]) for row in rollout_rows(lakehouse)[1:]]
    assert rows == [(action, "ada", "ada says so") for action in ("abort", "start", "finish")]
    assert PromotionLedger(copied(lakehouse, tmp_path / "again")).champion == "2"


def test_an_alias_that_names_the_challenger_is_not_set_again(
    day_after: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = day_after.registry._client
    monkeypatch.setattr(
        client, "set_registered_model_alias", lambda *_: pytest.fail("it is set again")
    )
    day_after.registry.show_challenger("2")


def test_an_alias_that_mlflow_does_not_take_holds_up_no_step_and_is_set_by_the_next_run(
    day_after: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakehouse = copied(day_after, tmp_path)

    def refuses(*_: Any) -> None:
        raise RegistryUnreachableError("MLflow does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "show_challenger", refuses)
        rollout_by_hand.end(lakehouse, False, "ada", "complaints came")
    assert RolloutLedger(lakehouse).running is None
    assert shown_challenger(lakehouse) == "2"
    settle(PromotionLedger(lakehouse), RolloutLedger(lakehouse))
    assert shown_challenger(lakehouse) is None


def test_a_winner_is_rolled_out_and_the_champion_stays(day_after: Lakehouse) -> None:
    loop = "retrain_and_promote"
    assert promotion_rows(day_after) == [
        ("promote", "1", loop, None),
        ("rollout", "2", loop, ROLLOUT),
    ]
    [row] = rollout_rows(day_after)
    expected = ("start", "canary", "1", "2", 0.25, BEGAN)
    names = ("action", "strategy", "champion", "challenger", "share", "as_of")
    assert tuple(row[name] for name in names) == expected
    assert PromotionLedger(day_after).champion == day_after.registry.champion() == "1"


def test_labels_tell_how_both_did_on_all_rows_and_in_each_arm(day_after: Lakehouse) -> None:
    ledger = TableLedger(day_after)
    rollout = ledger.rollouts.running
    assert rollout is not None
    found = labelled_of(ledger, rollout, NIGHT)
    versions = PromotionLedger(day_after)
    keys = range(BEFORE, BEFORE + A_DAY)
    features = features_of(day_after.model)
    rows = labelled_between(versions, features, NIGHT, at(BEFORE), None).set_index("id")
    right = {
        version: [
            said == ruled(key)
            for key, said in zip(keys, _said(versions, version, rows.loc[list(keys)]), strict=True)
        ]
        for version in ("1", "2")
    }
    won = sum(b and not a for a, b in zip(right["1"], right["2"], strict=True))
    lost = sum(a and not b for a, b in zip(right["1"], right["2"], strict=True))
    assert (found.pairs.rows, found.pairs.won, found.pairs.lost) == (A_DAY, won, lost)
    assert found.right == (sum(right["1"]), sum(right["2"]))
    in_arm = [answers(ROLLOUT, key, 0.25) for key in keys]
    assert sum(block.challenger_rows for block in found.blocks) == sum(in_arm)
    assert sum(block.challenger_right for block in found.blocks) == sum(
        b for b, own in zip(right["2"], in_arm, strict=True) if own
    )
    assert TableLedger(day_after).history.champion == 1  # read anew


def _said(versions: PromotionLedger, version: str, rows: Any) -> list[str]:
    classes = versions.lakehouse.model.classes
    codes = versions.load(version).predict(rows[["x", "z"]])
    return [str(classes[code]) for code in codes]


def test_a_challenger_that_is_better_finishes_as_a_promotion_and_without_a_probation(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = copied(day_after, tmp_path)
    assert advance(TableLedger(lakehouse), NIGHT)
    end = rollout_rows(lakehouse)[-1]
    assert (end["action"], end["rule"], end["share"]) == ("finish", "better", 0.0)
    evidence = dict(end["evidence"])
    assert evidence["won"] > 15 > evidence["lost"]
    assert evidence["champion_high"] < evidence["challenger_high"]
    assert promotion_rows(lakehouse)[-1][:2] == ("promote", "2")
    assert PromotionLedger(lakehouse).champion == lakehouse.registry.champion() == "2"
    history = TableLedger(lakehouse).history
    assert (history.champion, history.before) == (2, None)
    # The loop reads it as answered at the label batch of its training, as it does an approval.
    assert history.began == instant(BEGAN)
    assert not advance(TableLedger(lakehouse), NIGHT)
    assert len(rollout_rows(lakehouse)) == 2


def test_where_a_person_is_asked_a_finished_rollout_waits_for_them(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    def manual(settings: Settings) -> None:
        by_canary(settings)
        settings["approval"] = "manual"

    lakehouse = copied(day_after, tmp_path, manual)
    advance(TableLedger(lakehouse), NIGHT)
    assert promotion_rows(lakehouse)[-1][:2] == ("pending", "2")
    waiting = PromotionLedger(lakehouse).waiting
    assert waiting is not None
    assert lakehouse.registry.champion() == "1"


def test_a_run_killed_at_every_step_of_a_verdict_ends_as_one_that_was_not(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    root = Path(copied(day_after, tmp_path).store.root)
    died_at: set[str] = set()

    def night() -> None:
        ledger = TableLedger(small_lakehouse(day_after.spark, root, by_canary))
        finish_alias_move(ledger.versions)
        settle(ledger.versions, ledger.rollouts)
        advance(ledger, NIGHT)

    while True:
        steps = Steps(lambda name: name not in died_at)
        try:
            with stepping(steps):
                night()
            break
        except KilledError:
            died_at.add(steps.reached[-1])
    # Small files are gathered when the row is written.
    died_at = {name.replace("before gather of", "after write of") for name in died_at}
    named = ("write of gold.rollout", "write of gold.promotion", "Registry.promote")
    named = (*named, "Registry.show_challenger")
    assert died_at >= {f"{when} {name}" for name in named for when in ("before", "after")}
    lakehouse = small_lakehouse(day_after.spark, root, by_canary)
    assert [row["action"] for row in rollout_rows(lakehouse)] == ["start", "finish"]
    assert [row[0] for row in promotion_rows(lakehouse)] == ["promote", "rollout", "promote"]
    assert lakehouse.registry.champion() == "2"
    assert shown_challenger(lakehouse) is None


def test_a_start_that_was_cut_off_is_finished_by_the_next_run(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = copied(day_after, tmp_path)
    rollout_by_hand.end(lakehouse, False, "ada", "once more")
    died = Steps(lambda name: name == "before write of gold.rollout")
    with pytest.raises(KilledError), stepping(died):
        rollout_by_hand.start(lakehouse, "2", "ada", "again")
    assert RolloutLedger(lakehouse).running is None
    settle(PromotionLedger(lakehouse), RolloutLedger(lakehouse))
    running = RolloutLedger(lakehouse).running
    assert running is not None
    assert running.rollout_id == f"{ROLLOUT}-2"
    assert running.share == 0.25


def test_a_person_aborts_and_finishes_on_record(day_after: Lakehouse, tmp_path: Path) -> None:
    lakehouse = copied(day_after, tmp_path)
    with pytest.raises(RegistryError, match="version 2 is rolled out already; end that one first"):
        rollout_by_hand.start(lakehouse, "2", "ada", "at once")
    rollout_by_hand.end(lakehouse, False, "ada", "complaints came")
    end = rollout_rows(lakehouse)[-1]
    assert (end["action"], end["who"], end["reason"]) == ("abort", "ada", "complaints came")
    assert promotion_rows(lakehouse)[-1][:3] == ("refuse", "2", "ada")
    with pytest.raises(RegistryError, match="small has no rollout that runs"):
        rollout_by_hand.end(lakehouse, True, "ada", "too late")
    for version, says in (("1", "small is in production"), ("9", "9")):
        with pytest.raises(RegistryError, match=says):
            rollout_by_hand.start(lakehouse, version, "ada", "why not")
    rollout_by_hand.start(lakehouse, "2", "ada", "after all")
    rollout_by_hand.end(lakehouse, True, "ada", "it is fine")
    assert promotion_rows(lakehouse)[-1][:3] == ("promote", "2", "ada")
    assert lakehouse.registry.champion() == "2"


def test_a_rollout_by_hand_needs_a_strategy(day_after: Lakehouse, tmp_path: Path) -> None:
    def at_once(settings: Settings) -> None:
        settings.pop("rollout", None)

    lakehouse = copied(day_after, tmp_path, at_once)
    with pytest.raises(ConfigurationError, match=r"rollout\.strategy: is immediate; write shadow"):
        rollout_by_hand.start(lakehouse, "2", "ada", "again")


def test_a_rollout_against_a_champion_that_is_gone_is_aborted(
    day_after: Lakehouse, tmp_path: Path
) -> None:
    lakehouse = copied(day_after, tmp_path)
    rollout_by_hand.end(lakehouse, True, "ada", "it is fine")
    rollout_by_hand.start(lakehouse, "1", "ada", "to compare")
    rollback(lakehouse, "ada", "complaints came")  # version 1 is the champion now
    assert advance(TableLedger(lakehouse), NIGHT + dt.timedelta(days=1))
    end = rollout_rows(lakehouse)[-1]
    assert (end["action"], end["rule"]) == ("abort", "champion_changed")
    assert promotion_rows(lakehouse)[-1][:2] == ("refuse", "1")
    assert PromotionLedger(lakehouse).champion == "1"


def test_a_refresh_waits_while_a_rollout_runs(day_after: Lakehouse) -> None:
    ledger = TableLedger(day_after)
    refresh = Decision(REFRESH, "price", ("enough rows have come",))
    held = ledger.held(refresh)
    assert (held.action, held.rule, held.retrain) == ("keep", "rollout", False)
    assert held.reasons == ("version 2 is rolled out since 2024-03-05 23:50", *refresh.reasons)


def test_an_alarm_waits_only_while_its_own_answer_is_rolled_out(day_after: Lakehouse) -> None:
    ledger = TableLedger(day_after)
    running = ledger.rollouts.running
    assert running is not None
    assert running.answers_alarm
    alarm = Decision(RETRAIN, "shiryaev_roberts", ("accuracy fell",), change_at=instant(BEGAN))
    assert ledger.held(alarm).rule == "rollout"
    later = replace(alarm, change_at=instant(NIGHT))
    assert ledger.held(later) is later
    of_refresh = replace(running, answers_alarm=False)
    assert held_for_rollout(alarm, of_refresh) is alarm


@pytest.mark.parametrize(("at_alarm", "comes"), [("immediate", "promote"), ("rollout", "rollout")])
def test_the_winner_of_an_alarm_overtakes_the_rollout_as_set(
    day_after: Lakehouse, tmp_path: Path, at_alarm: str, comes: str
) -> None:
    lakehouse = copied(day_after, tmp_path, lambda settings: by_canary(settings, at_alarm=at_alarm))
    train(lakehouse, NIGHT, told_at(4 * A_DAY) - dt.timedelta(days=1))
    actions = [(row[0], row[1]) for row in promotion_rows(lakehouse)]
    assert actions[2:] == [("refuse", "2"), (comes, "3")]
    ended = rollout_rows(lakehouse)[1]
    assert (ended["action"], ended["rule"]) == ("abort", "overtaken")
    running = RolloutLedger(lakehouse).running
    assert (running is not None) == (at_alarm == "rollout")


def test_rows_of_the_challenger_count_as_the_champions_for_the_detector(
    day_after: Lakehouse,
) -> None:
    """A canary's rows are held against what the champion would have said of them."""
    from tests.support.rows import labelled_predictions

    ledger = TableLedger(day_after)
    found = labelled_predictions(day_after, NIGHT, ledger.history)
    rows = found.predictions(at(BEFORE), None)
    assert set(rows["model_version"]) == {"1", "2"}
    counts, predicted = found.row_counts(rows)
    assert set(counts.version) == {1}
    own = _said(PromotionLedger(day_after), "1", rows)
    classes = list(day_after.model.classes)
    assert [classes[code] for code in predicted] == own


def test_settling_what_agrees_writes_nothing(day_after: Lakehouse) -> None:
    before = day_after.store.versions(day_after.catalog.rollout, day_after.catalog.promotion)
    assert not settle(PromotionLedger(day_after), RolloutLedger(day_after))
    tables = day_after.catalog.rollout, day_after.catalog.promotion
    assert day_after.store.versions(*tables) == before
    assert replace(day_after).model.rollout.strategy == "canary"
