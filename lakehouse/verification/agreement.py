"""What records of a lakehouse must agree on: ledger and rows, promotions, the alias. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lakehouse.versions.actions import LOOP, MOVES

Row = Mapping[str, Any]
Difference = tuple[str, str]
"""The id of a thing, and how it differs in words; empty words where it does not."""


def batches_against_ledger(batches: Sequence[Row], ledger: Sequence[Row]) -> Iterator[Difference]:
    """Compare versions stamped on predictions with those on record.

    Args:
        batches: `query_id`, `batch_id`, `model_version`, `rows` of production's predictions.
        ledger: rows of `silver.scoring_ledger`.
    """
    recorded: dict[tuple[str, int], list[str]] = {}
    for row in ledger:
        recorded.setdefault(_batch(row), []).append(row["model_version"])
    stamped = Counter(map(_batch, batches))
    for row in batches:
        versions = recorded.get(_batch(row), [])
        words = ""
        if stamped[_batch(row)] > 1:
            words = "its rows are of several versions"
        elif versions != [row["model_version"]]:
            on_record = " and ".join(versions) or "none"
            words = (
                f"{row['rows']:,} rows are of version {row['model_version']}, on record is "
                f"{on_record}"
            )
        yield f"{row['query_id']}/{row['batch_id']}", words


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
