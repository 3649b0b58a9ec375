"""The record of rollouts, and what the version that did not answer a row would have said."""

from functools import partial

from lakehouse.settings import ModelSettings
from lakehouse.tables.declaration import Table, columns
from lakehouse.tables.silver import SCORING_LEDGER, outcomes, typed_columns

ROLLOUT = Table(
    "gold",
    "rollout",
    "A step of a rollout: how a version comes into production, or does not",
    ("rollout_id", "as_of", "action", "recorded_at"),
    columns("""
        rollout_id        string             Names the rollout; which version answers a key follows
            from it and the key
        recorded_at       timestamp          Wall-clock time
        as_of             timestamp          Newest label time that had landed
        action            string             start, step (a greater share), hold (newer labels
            decide nothing), abort or finish
        strategy          string             shadow, canary or ab
        champion          string             Version in production when it began
        challenger        string             Version that is rolled out
        challenger_sha256 string             Digest of its model file
        share             double             Share of the keys that the challenger answers from then
            on
        who               string             The loop, scoring, or the person who did it
        rule              string             Rule that decided
        reason            string             Why, in words
        evidence          map<string,double> Figures that it rests on
    """),
    from_driver=True,
)

_columns = partial(columns, declared=SCORING_LEDGER.columns)


def shadow_predictions(model: ModelSettings) -> Table:
    """What the other version of a rollout said of each row: the one that did not answer it."""
    return Table(
        "silver",
        "shadow_prediction",
        f"A prediction of a rollout's other version, which production did not answer with; one for "
        f"a {model.key}, at most",
        (model.key,),
        typed_columns(model.readings, (model.key, model.event_time))
        + outcomes(model)
        + _columns("""
            model_version string Registered version that predicted
            rollout_id
            error         string Why the challenger gave no finite answer; NULL where it did
            query_id, batch_id
        """),
        sought_by=(model.key, model.event_time, "rollout_id"),
        takes_columns=True,
    )
