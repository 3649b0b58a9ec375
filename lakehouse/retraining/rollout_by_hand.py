"""Rollouts that a person begins or ends (`jobs/rollout.py`)."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.errors import ConfigurationError, RegistryError
from lakehouse.retraining.policy.document import PolicyRecord
from lakehouse.rollouts.actions import FINISH
from lakehouse.rollouts.state import Rollout
from lakehouse.rollouts.verdict import Verdict
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.training_record import ModelVersion
from lakehouse.versions.ledger import PromotionLedger
from lakehouse.versions.promotion import finish_alias_move
from lakehouse.versions.rollouts import (
    RolloutLedger,
    aborted,
    carry_out,
    settle,
    start_rollout,
)

_BY_HAND = "by_hand"


def start(lakehouse: Lakehouse, version: str, who: str, reason: str) -> Rollout:
    """Roll out a registered version, by the strategy of the settings.

    Raises:
        ConfigurationError: the strategy is `immediate`.
        RegistryError: the version is not registered or in production, or a rollout runs.
    """
    name = lakehouse.model.name
    if not lakehouse.model.rollout.is_gradual:
        raise ConfigurationError(
            "rollout.strategy: is immediate; write shadow, canary or ab to roll out a version"
        )
    with _ledgers(lakehouse) as (promotions, rollouts):
        running, champion = rollouts.running, promotions.champion
        if running is not None:
            raise RegistryError(
                f"{name} version {running.challenger} is rolled out already; end that one first"
            )
        if champion is None or version == champion:
            state = "has no champion to compare it with" if champion is None else "is in production"
            raise RegistryError(f"{name} version {version} is not rolled out: {name} {state}")
        registered = promotions.version(version)
        row = {
            "as_of": _newest_as_of(lakehouse, promotions),
            "who": who,
            "reason": reason,
            "evidence": {},
            "policy_record": _policy_record(promotions, registered),
        }
        return start_rollout(promotions, rollouts, registered, row)


def end(lakehouse: Lakehouse, finished: bool, who: str, reason: str) -> Rollout:
    """End the rollout that runs: promote its version, or keep the champion.

    Raises:
        RegistryError: none runs, or the champion is not the one that it began with.
    """
    name = lakehouse.model.name
    with _ledgers(lakehouse) as (promotions, rollouts):
        rollout = rollouts.running
        if rollout is None:
            raise RegistryError(f"{name} has no rollout that runs")
        if finished and rollout.champion != promotions.champion:
            raise RegistryError(
                f"{name} version {promotions.champion} is in production by now, which the rollout "
                f"of version {rollout.challenger} was not compared with; abort it"
            )
        verdict = Verdict(FINISH, _BY_HAND, reason, 0.0) if finished else aborted(_BY_HAND, reason)
        carry_out(promotions, rollouts, rollout.seen, verdict, who)
        return rollout


@contextmanager
def _ledgers(lakehouse: Lakehouse) -> Iterator[tuple[PromotionLedger, RolloutLedger]]:
    """Both ledgers, which agree, until the block ends; then they are kept."""
    tables = lakehouse.catalog.promotion, lakehouse.catalog.rollout
    with lakehouse.store.writing(*tables):
        promotions, rollouts = PromotionLedger(lakehouse), RolloutLedger(lakehouse)
        finish_alias_move(promotions)
        settle(promotions, rollouts)
        yield promotions, rollouts
        keep_rows(lakehouse, *tables)


def _newest_as_of(lakehouse: Lakehouse, promotions: PromotionLedger) -> dt.datetime:
    decided = lakehouse.store.rows(lakehouse.catalog.decision, columns=["as_of"])
    newest: dt.datetime = max(row["as_of"] for row in [*decided, *promotions.rows])
    return newest


def _policy_record(promotions: PromotionLedger, version: ModelVersion) -> str:
    """What the policy knows of the version: from its last promotion, else from its training."""
    kept = promotions.policy_records.get(version.version)
    if kept:
        return kept
    recorded = promotions.lakehouse.registry.policy_record(version)
    return PolicyRecord.from_json(recorded).numbered(int(version.version)).to_json()
