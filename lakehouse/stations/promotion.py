"""The ledger of promotions, and the one place that moves the alias: always after the row that says why."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import RegistryError
from lakehouse.registry import ModelVersion
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.steps.promote import Verdict

PROMOTE, REFUSE, ROLLBACK = "promote", "refuse", "rollback"
LOOP = "retrain_and_promote"


def champion_of(lakehouse: Lakehouse) -> ModelVersion | None:
    """What is on record of the version behind the alias."""
    version = lakehouse.registry.champion()
    return lakehouse.registry.version(version) if version else None


def recorded_sha256(lakehouse: Lakehouse, version: str) -> str:
    """The digest that was recorded when the version was promoted: the lakehouse's word, not the artifact store's.

    Raises:
        RegistryError: the version was never promoted here.
    """
    row = _promotions(lakehouse).where((F.col("to_version") == version) & (F.col("action") == PROMOTE)).first()
    if row is None:
        raise RegistryError(
            f"{lakehouse.model.name} version {version} is champion, but no promotion of it is on record; "
            "let retrain_and_promote or rollback move the alias"
        )
    return str(row["model_sha256"])


def is_judged(lakehouse: Lakehouse, as_of: dt.datetime) -> bool:
    """Whether the training as of that moment has had its verdict."""
    verdicts = F.col("action").isin(PROMOTE, REFUSE)
    return bool(_promotions(lakehouse).where((F.col("as_of") == F.lit(as_of)) & verdicts).head(1))


def record_refusal(lakehouse: Lakehouse, as_of: dt.datetime, reason: str) -> None:
    """Records that a training gave no challenger."""
    _record(lakehouse, {"as_of": as_of, "action": REFUSE, "who": LOOP, "reason": reason})


def record_verdict(lakehouse: Lakehouse, as_of: dt.datetime, why: str, version: ModelVersion, verdict: Verdict) -> None:
    """Records the verdict on a challenger, and promotes it where the verdict is so."""
    row = {
        "as_of": as_of,
        "action": PROMOTE if verdict.promote else REFUSE,
        "who": LOOP,
        "from_version": lakehouse.registry.champion(),
        "reason": f"{why}; {verdict.reason}",
        "evidence": verdict.evidence,
    }
    _record(lakehouse, row | _version_columns(version))
    if verdict.promote:
        lakehouse.registry.promote(version.version)


def roll_back(lakehouse: Lakehouse, who: str, reason: str) -> tuple[str, str]:
    """Goes back to the version that the champion took over from, and records it.

    Returns:
        The versions before and after.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    finish_alias_move(lakehouse)
    champion = champion_of(lakehouse)
    if champion is None:
        raise RegistryError(f"{lakehouse.model.name} has no champion yet; there is nothing to go back from")
    promoted = _promotions(lakehouse).where((F.col("to_version") == champion.version) & (F.col("action") == PROMOTE))
    row = promoted.first()
    if row is None or row["from_version"] is None:
        raise RegistryError(
            f"{lakehouse.model.name} version {champion.version} is the first; there is none to go back to"
        )
    target = lakehouse.registry.version(row["from_version"])
    recorded = {"action": ROLLBACK, "who": who, "from_version": champion.version, "reason": reason}
    as_of = {"as_of": _last_as_of(lakehouse)}
    _record(lakehouse, as_of | recorded | _version_columns(target))
    lakehouse.registry.promote(target.version)
    return champion.version, target.version


def finish_alias_move(lakehouse: Lakehouse) -> None:
    """Moves the alias where a run was cut off between the ledger's row and the move."""
    moves = _promotions(lakehouse).where(F.col("action").isin(PROMOTE, ROLLBACK)).orderBy(F.col("recorded_at").desc())
    last = moves.first()
    if last is not None and lakehouse.registry.champion() == last["from_version"]:
        lakehouse.registry.promote(last["to_version"])


def _last_as_of(lakehouse: Lakehouse) -> dt.datetime:
    return _promotions(lakehouse).agg(F.max("as_of").alias("as_of")).toArrow()["as_of"][0].as_py()


def _promotions(lakehouse: Lakehouse) -> DataFrame:
    return lakehouse.store.read(lakehouse.catalog.promotion)


def _record(lakehouse: Lakehouse, row: Mapping[str, Any]) -> None:
    table = lakehouse.catalog.promotion
    full = {"recorded_at": dt.datetime.now(dt.UTC), **row}
    lakehouse.store.append(lakehouse.store.frame(table, [full]), table)


def _version_columns(version: ModelVersion) -> dict[str, Any]:
    record = version.record
    return {
        "to_version": version.version,
        "trained_from": record.trained_from,
        "trained_to": record.trained_to,
        "trained_rows": record.trained_rows,
        "changed_at": record.changed_at,
        "model_sha256": version.sha256,
        "table_versions": json.loads(record.table_versions),
    }
