"""What records of a lakehouse must agree on: ledger and rows, promotions, the alias. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lakehouse.rollouts.actions import ABORT, FINISH
from lakehouse.rollouts.arms import answers
from lakehouse.rollouts.state import rollouts_of
from lakehouse.versions.actions import LOOP, MOVES, PENDING, PROMOTE, REFUSE, ROLLOUT

Row = Mapping[str, Any]
Difference = tuple[str, str]
"""The id of a thing, and how it differs in words; empty words where it does not."""


def batches_against_ledger(batches: Sequence[Row], ledger: Sequence[Row]) -> Iterator[Difference]:
    """Compare versions stamped on predictions with those on record.

    Args:
        batches: `query_id`, `batch_id`, `model_version`, `rows` of production's predictions; while
            a rollout runs, a batch has a row for each of its two versions.
        ledger: rows of `silver.scoring_ledger`.
    """
    recorded: dict[tuple[str, int], list[Row]] = {}
    for row in ledger:
        recorded.setdefault(_batch(row), []).append(row)
    stamped: dict[tuple[str, int], list[Row]] = {}
    for row in batches:
        stamped.setdefault(_batch(row), []).append(row)
    for batch, rows in stamped.items():
        words = _strange_versions(rows, recorded.get(batch, []))
        yield f"{batch[0]}/{batch[1]}", words


def _strange_versions(rows: Sequence[Row], recorded: Sequence[Row]) -> str:
    """How a batch's versions differ from those on record; empty where they do not."""
    allowed = {each for row in recorded for each in _versions_of(row)}
    if len(recorded) == 1 and all(row["model_version"] in allowed for row in rows):
        return ""
    if len(rows) > 1 and len(recorded) == 1 and len(allowed) == 1:
        return "its rows are of several versions"
    on_record = " and ".join(row["model_version"] for row in recorded) or "none"
    strange = next((row for row in rows if row["model_version"] not in allowed), rows[0])
    return (
        f"{strange['rows']:,} rows are of version {strange['model_version']}, on record is "
        f"{on_record}"
    )


def _versions_of(row: Row) -> list[str]:
    """The champion, and the challenger where a rollout ran."""
    return [row["model_version"], *filter(None, [row.get("challenger_version")])]


def arms_of_rows(rows: Iterable[Row], ledger: Sequence[Row], key: str) -> Iterator[Difference]:
    """Check that rows of rollouts are of the version that their key's arm says.

    A row that the challenger gave no answer for is the champion's, whatever its arm.

    Args:
        rows: `query_id`, `batch_id`, the key, `model_version` of production's predictions, and the
            `error` of their shadow predictions.
        ledger: rows of `silver.scoring_ledger`.
        key: name of the key.
    """
    of_rollouts = {_batch(row): row for row in ledger if row.get("challenger_version")}
    strange: dict[str, list[Row]] = {row["rollout_id"]: [] for row in of_rollouts.values()}
    for row in rows:
        bound = of_rollouts.get(_batch(row))
        if bound is None or row["error"] is not None:
            continue
        name, share = bound["rollout_id"], bound["challenger_share"]
        in_arm = answers(name, row[key], share)
        expected = bound["challenger_version"] if in_arm else bound["model_version"]
        if row["model_version"] != expected:
            strange[name].append(row)
    for name, own in strange.items():
        words = f"{len(own):,} rows are not of their arm's version" if own else ""
        yield name, f"{words}; the first is {key} {own[0][key]}" if own else ""


def ends_of_rollouts(rollouts: Sequence[Row], promotions: Sequence[Row]) -> Iterator[Difference]:
    """Check that both records say the same of each rollout: that it began, and what it came to.

    Args:
        rollouts: rows of `gold.rollout`.
        promotions: rows of `gold.promotion`.
    """
    found = rollouts_of(rollouts)
    told: dict[str, list[str]] = {}
    for row in _in_order(promotions):
        if row.get("rollout_id"):
            told.setdefault(row["rollout_id"], []).append(row["action"])
    for name in sorted({*found, *told}):
        rollout, actions = found.get(name), told.get(name, [])
        ended = None if rollout is None else rollout.ended
        wanted = {None: (), FINISH: (PROMOTE, PENDING), ABORT: (REFUSE,)}[ended]
        agrees = rollout is not None and actions[:1] == [ROLLOUT]
        agrees = agrees and (actions[1] in wanted if len(actions) > 1 else not wanted)
        state = "no rollout" if rollout is None else ended or "a rollout that runs"
        words = f"gold.rollout has {state}, gold.promotion {' and '.join(actions) or 'no row'}"
        yield name, "" if agrees else words


def _batch(row: Row) -> tuple[str, int]:
    return row["query_id"], row["batch_id"]


def chain_of_promotions(rows: Sequence[Row]) -> Iterator[Difference]:
    """Check that each change of what is in production begins where the one before ended.

    Args:
        rows: of `gold.promotion`.
    """
    moves = [row for row in _in_order(rows) if row["action"] in MOVES]
    for before, move in pairwise([None, *moves]):
        was = before["to_version"] if before else None
        assert move is not None
        words = (
            f"it takes over from version {move['from_version'] or 'none'}, and version "
            f"{was or 'none'} was in production"
        )
        yield _id_of(move), "" if move["from_version"] == was else words


def decisions_of_promotions(
    promotions: Sequence[Row], decisions: Sequence[Row]
) -> Iterator[Difference]:
    """Check that a decision is on record for each verdict of the loop.

    Args:
        promotions: rows of `gold.promotion`.
        decisions: rows of `gold.decision`.
    """
    decided = {row["as_of"] for row in decisions}
    for row in _in_order(promotions):
        if row["who"] == LOOP:
            yield _id_of(row), "" if row["as_of"] in decided else "no decision has its as-of"


def alias_against_promotions(alias: str | None, rows: Sequence[Row]) -> Difference:
    """Compare MLflow's alias with the newest change of what is in production.

    Args:
        alias: the version that it names; None where there is no alias.
        rows: of `gold.promotion`.
    """
    moves = [row for row in _in_order(rows) if row["action"] in MOVES]
    wanted = moves[-1]["to_version"] if moves else None
    words = f"it names version {alias or 'none'}, gold.promotion says {wanted or 'none'}"
    return "champion", "" if alias == wanted else words


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["recorded_at"])


def _id_of(row: Row) -> str:
    return f"promotion/{row['as_of']:%Y-%m-%d}/{row['action']}/{row['to_version']}"
