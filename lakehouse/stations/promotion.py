"""The ledger of promotions, and the one place that moves the alias: always after the row that says why."""

import datetime as dt
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sklearn.pipeline import Pipeline

from lakehouse.errors import RegistryError, TrainingError
from lakehouse.estimators import Meaning, load, problem_of
from lakehouse.registry import ModelVersion, TrainingRecord
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.steps.policy.document import PolicyRecord
from lakehouse.steps.promote import PENDING, PROMOTE, REFUSE, ROLLBACK, VERDICTS, Verdict
from lakehouse.store import Row

# By lakehouse, version and digest of its file: what is learned of other classes may give the same file.
_MEANINGS: dict[tuple[str, str, str], Meaning] = {}
_LOG = logging.getLogger(__name__)
LOOP = "retrain_and_promote"
TRAINING_SECONDS = "training_seconds"
"""Evidence of each verdict: wall-clock time from reading the rows to the verdict."""

Trained = TypeVar("Trained")


def champion(lakehouse: Lakehouse) -> str | None:
    """The version in production, by the ledger: the alias follows it, and may have been moved by hand."""
    moves = _moves(promotions(lakehouse))
    return str(moves[-1]["to_version"]) if moves else None


def champion_of(lakehouse: Lakehouse) -> ModelVersion | None:
    """What is on record of the version in production."""
    version = champion(lakehouse)
    return version_of(lakehouse, version) if version else None


def version_of(lakehouse: Lakehouse, version: str) -> ModelVersion:
    """What is on record of a version: in the registry, or if that has lost it, in the ledger of promotions.

    Raises:
        RegistryError: it is in neither.
    """
    try:
        return lakehouse.registry.version(version)
    except RegistryError:
        row = _promotion_of(lakehouse, version)
        if row is None:
            raise
        return _of_ledger(row)


def trained_spans(lakehouse: Lakehouse) -> dict[str, tuple[dt.datetime, dt.datetime]]:
    """For each promoted version, the event times of the first and the last row that it was trained on."""
    rows = [row for row in promotions(lakehouse) if row["action"] == PROMOTE]
    return {row["to_version"]: (row["trained_from"], row["trained_to"]) for row in rows}


def recorded_sha256(lakehouse: Lakehouse, version: str) -> str:
    """The digest that was recorded when the version was promoted: the lakehouse's word, not the artifact store's.

    Raises:
        RegistryError: the version was never promoted here.
    """
    row = _promotion_of(lakehouse, version)
    if row is None:
        raise RegistryError(f"{lakehouse.model.name} version {version} was never promoted here; it is not used")
    return str(row["model_sha256"])


def promoted_versions(lakehouse: Lakehouse) -> list[str]:
    """The versions that were ever promoted, in the order of their first promotion."""
    return list(dict.fromkeys(row["to_version"] for row in promotions(lakehouse) if row["action"] == PROMOTE))


def policy_records(lakehouse: Lakehouse) -> dict[str, PolicyRecord]:
    """The policy record of each promoted version, as its last promotion left it; an older release kept none."""
    newest = {row["to_version"]: row["policy_record"] for row in promotions(lakehouse) if row["policy_record"]}
    return {version: PolicyRecord.from_json(text) for version, text in newest.items()}


def meaning_of(lakehouse: Lakehouse, version: str) -> Meaning:
    """What the version's classes and features are, as of its training.

    Raises:
        RegistryError: an older release trained it, and its file is gone.
    """
    found = version_of(lakehouse, version)
    key = (lakehouse.store.root, version, found.sha256)
    if key not in _MEANINGS:
        row = _promotion_of(lakehouse, version)
        kept = (row["meaning"] if row else None) or lakehouse.registry.meaning(found)
        if kept:
            _MEANINGS[key] = Meaning.from_json(kept)
        else:
            pipeline = load(lakehouse.registry.model_file(found), found.sha256)
            _MEANINGS[key] = Meaning.of_older_release(pipeline, problem_of(lakehouse.model))
    return _MEANINGS[key]


def load_promoted(lakehouse: Lakehouse, version: ModelVersion) -> Pipeline:
    """The model of a version that was promoted here, its file verified by the recorded digest.

    Raises:
        RegistryError: it was never promoted, or its file is not the one that was.
    """
    return load(promoted_file(lakehouse, version.version), recorded_sha256(lakehouse, version.version))


def promoted_file(lakehouse: Lakehouse, version: str) -> bytes:
    """The model file of a version; whoever loads it verifies its digest.

    Raises:
        RegistryError: it is not where it was; the message says what can be done.
    """
    try:
        return lakehouse.registry.model_file(version_of(lakehouse, version))
    except RegistryError as error:
        raise RegistryError(f"{error}; restore it, or go back to the version before by jobs/rollback.py") from error


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
        "from_version": champion(lakehouse),
        "reason": f"{why}; {verdict.reason}",
        "evidence": verdict.evidence,
        "policy_record": policy_record if verdict.promote else None,
    }
    _record(lakehouse, row | _version_columns(lakehouse, version))
    if action == PROMOTE:
        finish_alias_move(lakehouse)
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
    decided = {"action": action, "who": who, "reason": reason, "from_version": champion(lakehouse)}
    left_out = {"recorded_at", *([] if approved else ["policy_record"])}
    _record(lakehouse, {name: value for name, value in waiting.items() if name not in left_out} | decided)
    if approved:
        finish_alias_move(lakehouse)
    return found


def roll_back(lakehouse: Lakehouse, who: str, reason: str) -> tuple[str, str]:
    """Goes back to the version that the champion took over from, and records it.

    Returns:
        The versions before and after.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    finish_alias_move(lakehouse)
    current = champion(lakehouse)
    if current is None:
        raise RegistryError(f"{lakehouse.model.name} has no champion yet; there is nothing to go back from")
    row = _promotion_of(lakehouse, current)
    if row is None or row["from_version"] is None:
        raise RegistryError(f"{lakehouse.model.name} version {current} is the first; there is none to go back to")
    target = version_of(lakehouse, row["from_version"])
    recorded = {"action": ROLLBACK, "who": who, "from_version": current, "reason": reason}
    decided = lakehouse.store.rows(lakehouse.catalog.decision, columns=["as_of"])
    as_of = max(each["as_of"] for each in [*decided, *promotions(lakehouse)])
    _record(lakehouse, {"as_of": as_of} | recorded | _version_columns(lakehouse, target))
    finish_alias_move(lakehouse)
    return current, target.version


def give_back(
    lakehouse: Lakehouse, as_of: dt.datetime, to_version: str, reason: str, evidence: Mapping[str, float]
) -> None:
    """The loop's own rollback: records it, and moves the alias back to the version before."""
    target = version_of(lakehouse, to_version)
    recorded = {"action": ROLLBACK, "who": LOOP, "from_version": champion(lakehouse), "reason": reason}
    _record(lakehouse, {"as_of": as_of, "evidence": dict(evidence)} | recorded | _version_columns(lakehouse, target))
    finish_alias_move(lakehouse)


def finish_alias_move(lakehouse: Lakehouse) -> None:
    """Move the alias to the champion of the ledger, where it is not there yet.

    Each move does so after its record; a later run does so for one that was cut off, or where the alias is gone.
    An alias that somebody moved to another version is left there, and told of: the ledger counts.
    """
    moves = _moves(promotions(lakehouse))
    alias, name = lakehouse.registry.champion(), lakehouse.model.name
    wanted, before = (moves[-1]["to_version"], moves[-1]["from_version"]) if moves else (None, None)
    if alias == wanted:
        return
    if wanted is None or alias not in (None, before):
        _LOG.warning(
            "the alias champion of %s names version %s, which this lakehouse did not promote last; version %s stays in "
            "production; to go back use jobs/rollback.py, and then set the alias to what gold.promotion says",
            *(name, alias, wanted),
        )
        return
    try:
        lakehouse.registry.promote(wanted)
    except RegistryError:
        _LOG.warning(
            "version %s of %s, the champion by gold.promotion, is not in the registry any more; it stays in production "
            "as long as its file is there; restore it in MLflow, or wait for the next promotion",
            *(wanted, name),
        )


def promotions(lakehouse: Lakehouse) -> list[Row]:
    """The ledger, in the order in which it was written."""
    return sorted(lakehouse.store.rows(lakehouse.catalog.promotion), key=lambda row: row["recorded_at"])


def _promotion_of(lakehouse: Lakehouse, version: str) -> Row | None:
    """The last promotion of the version: one that was brought back took over from another than at first."""
    own = [row for row in promotions(lakehouse) if (row["to_version"], row["action"]) == (version, PROMOTE)]
    return own[-1] if own else None


def _moves(rows: Sequence[Row]) -> list[Row]:
    """The rows that changed what is in production."""
    return [row for row in rows if row["action"] in (PROMOTE, ROLLBACK)]


def _of_ledger(row: Row) -> ModelVersion:
    """A version as its promotion tells it; how it did in cross-fitting is not known any more."""
    record = TrainingRecord(
        **{name: row[name] for name in ("as_of", "trained_from", "trained_to", "trained_rows", "changed_at")},
        since_change=0,
        judged=0,
        wrong=0,
        verdict="{}",
        table_versions=json.dumps(dict(row["table_versions"])),
    )
    return ModelVersion(str(row["to_version"]), row["run_id"] or "", str(row["model_sha256"]), record)


def _record(lakehouse: Lakehouse, row: Mapping[str, Any]) -> None:
    table = lakehouse.catalog.promotion
    full = {"recorded_at": dt.datetime.now(dt.UTC), **row}
    lakehouse.store.append_rows([full], table)


def _version_columns(lakehouse: Lakehouse, version: ModelVersion) -> dict[str, Any]:
    record = version.record
    return {
        "to_version": version.version,
        "trained_from": record.trained_from,
        "trained_to": record.trained_to,
        "trained_rows": record.trained_rows,
        "changed_at": record.changed_at,
        "model_sha256": version.sha256,
        "run_id": version.run_id,
        "meaning": meaning_of(lakehouse, version.version).to_json(),
        "table_versions": json.loads(record.table_versions),
    }
