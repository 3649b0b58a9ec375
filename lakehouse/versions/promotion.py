"""Promotions: the one place that moves the alias, always after the row that says why."""

import datetime as dt
import json
import logging
from collections.abc import Mapping
from typing import Any

from lakehouse.errors import RegistryError
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.training_record import ModelVersion
from lakehouse.versions.actions import LOOP, PENDING, PROMOTE, REFUSE, ROLLBACK, ROLLOUT
from lakehouse.versions.ledger import PromotionLedger

_LOG = logging.getLogger(__name__)


def record_result(
    ledger: PromotionLedger,
    version: ModelVersion,
    passed: bool,
    row: Mapping[str, Any],
    policy_record: str | None,
) -> bool:
    """Record the gate's result on a challenger; promote it if it passed and no person is asked.

    Args:
        ledger: of the lakehouse whose champion it may become.
        version: the challenger.
        passed: whether the gate lets it take over.
        row: as-of, reason and evidence.
        policy_record: what the policy knows of it from now on, as JSON.

    Returns:
        Whether it was promoted.
    """
    accepted = PROMOTE if ledger.lakehouse.model.approval == "automatic" else PENDING
    action = accepted if passed else REFUSE
    own = {
        "action": action,
        "who": LOOP,
        "from_version": ledger.champion,
        "policy_record": policy_record if passed else None,
    }
    ledger.record({**row, **own, **_version_columns(ledger, version)})
    # The row is written: a run that is cut off here has its alias moved by the next one.
    if action == PROMOTE:
        finish_alias_move(ledger)
    return action == PROMOTE


def record_rollout(
    ledger: PromotionLedger, version: ModelVersion, row: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Record that a challenger is rolled out; nothing else is in production by that.

    Args:
        ledger: of the lakehouse whose champion it may become.
        version: the challenger.
        row: as-of, who, reason, evidence, policy record and the rollout's id.

    Returns:
        The row as it stands in `gold.promotion`.
    """
    own = {"action": ROLLOUT, "from_version": ledger.champion}
    ledger.record({**row, **own, **_version_columns(ledger, version)})
    return ledger.newest[-1]


def record_end_of_rollout(
    ledger: PromotionLedger, row: Mapping[str, Any], finished: bool, who: str, reason: str
) -> bool:
    """Record what a rollout came to: its version is promoted, or refused.

    The row has the as-of of the decision that it answers, and the evidence of the gate.

    Args:
        ledger: of promotions.
        row: the one that began the rollout.
        finished: whether the challenger has shown itself; a loop that finds so asks a person where
            `approval` is manual.
        who: decided.
        reason: why.

    Returns:
        Whether it was promoted.
    """
    asks = ledger.lakehouse.model.approval == "manual" and who == LOOP
    action = REFUSE if not finished else PENDING if asks else PROMOTE
    decided = {"action": action, "who": who, "reason": reason, "from_version": ledger.champion}
    # A version that is refused leaves no policy record.
    left_out = {"recorded_at", *([] if finished else ["policy_record"])}
    ledger.record({name: value for name, value in row.items() if name not in left_out} | decided)
    if action == PROMOTE:
        finish_alias_move(ledger)
    return action == PROMOTE


def answer(
    lakehouse: Lakehouse, approved: bool, who: str, reason: str, version: str | None = None
) -> str:
    """Record what a person decided on the challenger that waits, and promote it if it was approved.

    Args:
        lakehouse: whose challenger waits.
        approved: or rejected.
        who: decided.
        reason: in their words.
        version: the one that they looked at; without it the one that waits.

    Returns:
        The version.

    Raises:
        RegistryError: none waits, or another one does.
    """
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        ledger, name = PromotionLedger(lakehouse), lakehouse.model.name
        finish_alias_move(ledger)
        waiting = ledger.waiting
        if waiting is None:
            raise RegistryError(f"{name} has no version that waits for approval")
        candidate = str(waiting["to_version"])
        if version not in (None, candidate):
            raise RegistryError(
                f"{name} version {candidate} waits for approval, not version {version}"
            )
        action = PROMOTE if approved else REFUSE
        decided = {"action": action, "who": who, "reason": reason, "from_version": ledger.champion}
        # A version that is refused leaves no policy record.
        left_out = {"recorded_at", *([] if approved else ["policy_record"])}
        ledger.record(
            {name: value for name, value in waiting.items() if name not in left_out} | decided
        )
        if approved:
            finish_alias_move(ledger)
        keep_rows(lakehouse, lakehouse.catalog.promotion)
        return candidate


def rollback(lakehouse: Lakehouse, who: str, reason: str) -> tuple[str, str]:
    """Go back to the version that the champion took over from: a person's way.

    Returns:
        The versions before and after.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        ledger, name = PromotionLedger(lakehouse), lakehouse.model.name
        finish_alias_move(ledger)
        current = ledger.champion
        if current is None:
            raise RegistryError(f"{name} has no champion yet; there is nothing to go back from")
        row = ledger.promotion_of(current)
        if row is None or row["from_version"] is None:
            raise RegistryError(
                f"{name} version {current} is the first; there is none to go back to"
            )
        decided = lakehouse.store.rows(lakehouse.catalog.decision, columns=["as_of"])
        as_of = max(entry["as_of"] for entry in [*decided, *ledger.rows])
        move_back(ledger, as_of, str(row["from_version"]), who, {"reason": reason})
        keep_rows(lakehouse, lakehouse.catalog.promotion)
        return current, str(row["from_version"])


def move_back(
    ledger: PromotionLedger, as_of: dt.datetime, version: str, who: str, why: Mapping[str, Any]
) -> None:
    """Record a rollback to a version with its reason and evidence, and move the alias."""
    own = {"as_of": as_of, "action": ROLLBACK, "who": who, "from_version": ledger.champion}
    ledger.record({**why, **own, **_version_columns(ledger, ledger.version(version))})
    finish_alias_move(ledger)


def finish_alias_move(ledger: PromotionLedger) -> None:
    """Move the alias to the champion of the ledger, where it is not there yet.

    Each move does so after its record; a later run does so for one that was cut off, or where the
    alias is gone. An alias that somebody moved to another version is left there, and told of: the
    ledger counts.
    """
    moves, registry, name = ledger.moves, ledger.lakehouse.registry, ledger.lakehouse.model.name
    alias = registry.champion()
    wanted, before = (moves[-1]["to_version"], moves[-1]["from_version"]) if moves else (None, None)
    if alias == wanted:
        return
    if wanted is None or alias not in (None, before):
        _LOG.warning(
            "the alias champion of %s names version %s, which this lakehouse did not promote "
            "last; version %s stays in production; to go back use jobs/rollback.py, and then set "
            "the alias to what gold.promotion says",
            *(name, alias, wanted),
        )
        return
    try:
        registry.promote(wanted)
    except RegistryError:
        _LOG.warning(
            "version %s of %s, the champion by gold.promotion, is not in the registry any more; it "
            "stays in production "
            "as long as its file is there; restore it in MLflow, or wait for the next promotion",
            *(wanted, name),
        )


def _version_columns(ledger: PromotionLedger, version: ModelVersion) -> dict[str, Any]:
    record = version.record
    return {
        "to_version": version.version,
        "trained_from": record.trained_from,
        "trained_to": record.trained_to,
        "trained_rows": record.trained_rows,
        "changed_at": record.changed_at,
        "model_sha256": version.sha256,
        "run_id": version.run_id,
        "meaning": ledger.meaning(version.version).to_json(),
        "table_versions": json.loads(record.table_versions),
    }
