"""The ledger of promotions, and the one place that moves the alias: always after the row that says why."""

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError, TrainingError
from lakehouse.estimators import load, problem_of
from lakehouse.registry import ModelVersion
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.steps.policy.document import PolicyRecord
from lakehouse.steps.promote import PENDING, PROMOTE, REFUSE, ROLLBACK, VERDICTS, Verdict
from lakehouse.store import Row

LOOP = "retrain_and_promote"
TRAINING_SECONDS = "training_seconds"
"""Evidence of each verdict: wall-clock time from reading the rows to the verdict."""

Trained = TypeVar("Trained")


def champion_of(lakehouse: Lakehouse) -> ModelVersion | None:
    """What is on record of the version behind the alias."""
    version = lakehouse.registry.champion()
    return lakehouse.registry.version(version) if version else None


def recorded_sha256(lakehouse: Lakehouse, version: str) -> str:
    """The digest that was recorded when the version was promoted: the lakehouse's word, not the artifact store's.

    Raises:
        RegistryError: the version was never promoted here.
    """
    row = _promotion_of(lakehouse, version)
    if row is None:
        raise RegistryError(
            f"{lakehouse.model.name} version {version} is champion, but no promotion of it is on record; "
            "let retrain_and_promote or rollback move the alias"
        )
    return str(row["model_sha256"])


def promoted_versions(lakehouse: Lakehouse) -> list[str]:
    """The versions that were ever promoted, in the order of their first promotion."""
    return list(dict.fromkeys(row["to_version"] for row in promotions(lakehouse) if row["action"] == PROMOTE))


def policy_records(lakehouse: Lakehouse) -> dict[str, PolicyRecord]:
    """The policy record of each promoted version, as its last promotion left it; an older release kept none."""
    newest = {row["to_version"]: row["policy_record"] for row in promotions(lakehouse) if row["policy_record"]}
    return {version: PolicyRecord.from_json(text) for version, text in newest.items()}


def load_promoted(lakehouse: Lakehouse, version: ModelVersion) -> Pipeline:
    """The model of a version that was promoted here, its file verified by the recorded digest.

    Raises:
        RegistryError: it was never promoted, or its file is not the one that was.
    """
    return load(lakehouse.registry.model_file(version), recorded_sha256(lakehouse, version.version))


def is_judged(lakehouse: Lakehouse, as_of: dt.datetime) -> bool:
    """Whether the training as of that moment has had its verdict."""
    return any(row["as_of"] == as_of and row["action"] in VERDICTS for row in promotions(lakehouse))


def trained_or_refused(lakehouse: Lakehouse, as_of: dt.datetime, train: Callable[[], Trained | None]) -> Trained | None:
    """What the training gives; where it gives no challenger, that is put on record: why, and how long it took.

    Args:
        lakehouse: whose model is trained.
        as_of: newest label time that had landed.
        train: the training; it gives None where the rows are too few.
    """
    began = time.monotonic()
    try:
        trained, reason = train(), problem_of(lakehouse.model).too_few
    except TrainingError as error:
        trained, reason = None, str(error)
    if trained is None:
        evidence = {TRAINING_SECONDS: round(time.monotonic() - began, 3)}
        _record(lakehouse, {"as_of": as_of, "action": REFUSE, "who": LOOP, "reason": reason, "evidence": evidence})
    return trained


def record_verdict(
    lakehouse: Lakehouse,
    as_of: dt.datetime,
    why: str,
    version: ModelVersion,
    verdict: Verdict,
    policy_record: str | None = None,
) -> bool:
    """Records the verdict on a challenger, and promotes it where the verdict is so and no person is to be asked.

    Args:
        lakehouse: whose champion it may become.
        as_of: newest label time that had landed.
        why: the decision in words.
        version: the challenger.
        verdict: the gate's.
        policy_record: what the policy knows of it from now on.

    Returns:
        Whether it was promoted.
    """
    passed = PROMOTE if lakehouse.model.approval == "automatic" else PENDING
    action = passed if verdict.promote else REFUSE
    row = {
        "as_of": as_of,
        "action": action,
        "who": LOOP,
        "from_version": lakehouse.registry.champion(),
        "reason": f"{why}; {verdict.reason}",
        "evidence": verdict.evidence,
        "policy_record": policy_record if verdict.promote else None,
    }
    _record(lakehouse, row | _version_columns(version))
    if action == PROMOTE:
        lakehouse.registry.promote(version.version)
    return action == PROMOTE


def waiting_for_approval(lakehouse: Lakehouse) -> Row | None:
    """The row of the challenger that passed the gate and that nobody has decided on; a later verdict overtakes it."""
    verdicts = [row for row in promotions(lakehouse) if row["action"] in VERDICTS]
    return verdicts[-1] if verdicts and verdicts[-1]["action"] == PENDING else None


def answer(lakehouse: Lakehouse, approved: bool, who: str, reason: str, version: str | None = None) -> str:
    """Records what a person decided on the challenger that waits, and promotes it where it was approved.

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
    finish_alias_move(lakehouse)
    waiting = waiting_for_approval(lakehouse)
    if waiting is None:
        raise RegistryError(f"{lakehouse.model.name} has no version that waits for approval")
    found = str(waiting["to_version"])
    if version not in (None, found):
        raise RegistryError(f"{lakehouse.model.name} version {found} waits for approval, not version {version}")
    action = PROMOTE if approved else REFUSE
    decided = {"action": action, "who": who, "reason": reason, "from_version": lakehouse.registry.champion()}
    left_out = {"recorded_at", *([] if approved else ["policy_record"])}
    _record(lakehouse, {name: value for name, value in waiting.items() if name not in left_out} | decided)
    if approved:
        lakehouse.registry.promote(found)
    return found


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
    row = _promotion_of(lakehouse, champion.version)
    if row is None or row["from_version"] is None:
        raise RegistryError(
            f"{lakehouse.model.name} version {champion.version} is the first; there is none to go back to"
        )
    target = lakehouse.registry.version(row["from_version"])
    recorded = {"action": ROLLBACK, "who": who, "from_version": champion.version, "reason": reason}
    decided = lakehouse.store.rows(lakehouse.catalog.decision, columns=["as_of"])
    as_of = max(each["as_of"] for each in [*decided, *promotions(lakehouse)])
    _record(lakehouse, {"as_of": as_of} | recorded | _version_columns(target))
    lakehouse.registry.promote(target.version)
    return champion.version, target.version


def give_back(
    lakehouse: Lakehouse, as_of: dt.datetime, to_version: str, reason: str, evidence: Mapping[str, float]
) -> None:
    """The loop's own rollback: records it, and moves the alias back to the version before."""
    target = lakehouse.registry.version(to_version)
    recorded = {"action": ROLLBACK, "who": LOOP, "from_version": lakehouse.registry.champion(), "reason": reason}
    _record(lakehouse, {"as_of": as_of, "evidence": dict(evidence)} | recorded | _version_columns(target))
    lakehouse.registry.promote(to_version)


def finish_alias_move(lakehouse: Lakehouse) -> None:
    """Moves the alias where a run was cut off between the ledger's row and the move."""
    moves = [row for row in promotions(lakehouse) if row["action"] in (PROMOTE, ROLLBACK)]
    if moves and lakehouse.registry.champion() == moves[-1]["from_version"]:
        lakehouse.registry.promote(moves[-1]["to_version"])


def promotions(lakehouse: Lakehouse) -> list[Row]:
    """The ledger, in the order in which it was written."""
    return sorted(lakehouse.store.rows(lakehouse.catalog.promotion), key=lambda row: row["recorded_at"])


def _promotion_of(lakehouse: Lakehouse, version: str) -> Row | None:
    """The last promotion of the version: one that was brought back took over from another than at first."""
    own = [row for row in promotions(lakehouse) if (row["to_version"], row["action"]) == (version, PROMOTE)]
    return own[-1] if own else None


def _record(lakehouse: Lakehouse, row: Mapping[str, Any]) -> None:
    table = lakehouse.catalog.promotion
    full = {"recorded_at": dt.datetime.now(dt.UTC), **row}
    lakehouse.store.append_rows([full], table)


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
