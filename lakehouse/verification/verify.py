"""Everything that a lakehouse promises, checked one after the other on the one at hand."""

from collections.abc import Iterable, Iterator

from pyspark.sql import functions as F

from lakehouse.ingest.reconciliation import Account
from lakehouse.lineage.reading import records_of
from lakehouse.lineage.verification import DIFFERENT, SAME, Check, Verification
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Row
from lakehouse.tables import Table
from lakehouse.verification.agreement import (
    Difference,
    alias_against_promotions,
    arms_of_rows,
    batches_against_ledger,
    chain_of_promotions,
    decisions_of_promotions,
    ends_of_rollouts,
)
from lakehouse.verification.recomputation import metric_checks
from lakehouse.verification.served import differing_answers


def checks_of(lakehouse: Lakehouse, accounts: Iterable[Account]) -> Iterator[Check]:
    """Every check, in the order of the data's way; nothing is written.

    The caller sees to it that nothing else writes the lakehouse.

    Args:
        lakehouse: that is checked.
        accounts: of its lines, see `ingest.account`.
    """
    yield from map(_lines, accounts)
    yield from _keys(lakehouse)
    yield from _scoring(lakehouse)
    yield from _promotions(lakehouse)
    yield from metric_checks(lakehouse)
    if "://" not in lakehouse.store.root:
        with records_of(lakehouse.store.root, lakehouse.model) as records:
            yield from Verification(records, lakehouse.environment).checks()


def _lines(each: Account) -> Check:
    words = f"{each.unaccounted:,} lines are nowhere, {each.in_two_places:,} in two places"
    return _check("lines in one place", each.source, "" if each.balances else words)


def _keys(lakehouse: Lakehouse) -> Iterator[Check]:
    """One row a key; of a label that was corrected, there are several."""
    catalog, key = lakehouse.catalog, lakehouse.model.key
    for source in lakehouse.sources:
        if not source.takes_corrections:
            yield _once_a_key(lakehouse, source.silver, source.key)
    yield _once_a_key(lakehouse, catalog.predictions, key)
    predicted, readings = map(lakehouse.store.read, (catalog.predictions, catalog.readings))
    n_strays = predicted.join(readings, key, "left_anti").count()
    words = f"{n_strays:,} predictions are of no reading" if n_strays else ""
    yield _check("a reading for each prediction", catalog.predictions.full_name, words)


def _once_a_key(lakehouse: Lakehouse, table: Table, key: str) -> Check:
    repeated = lakehouse.store.read(table).groupBy(key).count().where("count > 1")
    n_keys, first = repeated.agg(F.count(key), F.min(key)).collect()[0]
    words = f"{n_keys:,} keys have several rows; the first is {key} {first}" if n_keys else ""
    return _check("one row a key", table.full_name, words)


def _scoring(lakehouse: Lakehouse) -> Iterator[Check]:
    store, catalog = lakehouse.store, lakehouse.catalog
    by_batch = store.read(catalog.predictions).groupBy("query_id", "batch_id", "model_version")
    batches: list[Row] = by_batch.agg(F.count("*").alias("rows")).toArrow().to_pylist()
    ledger = store.rows(catalog.scoring_ledger)
    yield from _checks("versions of batches", batches_against_ledger(batches, ledger))
    yield _check("answers as predicted", "gold.served_answer", differing_answers(lakehouse))
    if any(row["rollout_id"] for row in ledger):
        yield from _rollouts(lakehouse, ledger)


def _rollouts(lakehouse: Lakehouse, ledger: list[Row]) -> Iterator[Check]:
    store, catalog, key = lakehouse.store, lakehouse.catalog, lakehouse.model.key
    yield _once_a_key(lakehouse, catalog.shadow_predictions, key)
    shadow = store.read(catalog.shadow_predictions).select(key, "error")
    columns = [key, "model_version", "query_id", "batch_id"]
    both = store.read(catalog.predictions).select(columns).join(shadow, key)
    rows = (row.asDict() for row in both.toLocalIterator())
    yield from _checks("arms of rows", arms_of_rows(rows, ledger, key))
    records = store.rows(catalog.rollout), store.rows(catalog.promotion)
    yield from _checks("rollouts on both records", ends_of_rollouts(*records))


def _promotions(lakehouse: Lakehouse) -> Iterator[Check]:
    store, catalog = lakehouse.store, lakehouse.catalog
    promotions = store.rows(catalog.promotion)
    decisions = store.rows(catalog.decision, columns=["as_of"])
    yield from _checks("promotions in order", chain_of_promotions(promotions))
    of_promotions = decisions_of_promotions(promotions, decisions)
    yield from _checks("decisions of promotions", of_promotions)
    alias = lakehouse.registry.champion()
    yield _check("alias in MLflow", *alias_against_promotions(alias, promotions))


def _checks(what: str, differences: Iterable[Difference]) -> Iterator[Check]:
    return (_check(what, subject, words) for subject, words in differences)


def _check(what: str, subject: str, words: str) -> Check:
    return Check(what, subject, DIFFERENT if words else SAME, words)
