"""View of rollouts: how each version did, step by step."""

from functools import partial

from lakehouse.tables import ROLLOUT
from lakehouse.tables.declaration import View, columns

_columns = partial(columns, declared=ROLLOUT.columns)


def _of_side(side: str) -> str:
    """The rows of one of the two versions."""
    rows, right = (f"evidence['{side}_{name}']" for name in ("rows", "right"))
    return f"""
SELECT rollout_id, as_of, action, strategy, share, '{side}' AS side, {side} AS model_version,
  CAST({rows} AS BIGINT) AS n_labelled, CAST({right} AS BIGINT) AS n_right,
  {right} / NULLIF({rows}, 0) AS accuracy, evidence['{side}_low'] AS accuracy_low,
  evidence['{side}_high'] AS accuracy_high, evidence['{side}_cost'] AS cost_per_thousand,
  evidence['log_better'] AS log_better,
  evidence['log_worse'] AS log_worse, evidence['needed_better'] AS needed_better,
  evidence['needed_worse'] AS needed_worse, rule, reason, who, recorded_at
FROM $rollout"""


ROLLOUT_SIDES = View(
    "rollout_side",
    "A step of a rollout × version: champion and challenger side by side",
    _columns("""
        rollout_id, as_of, action, strategy, share
        side          string champion or challenger
        model_version string Its version
        n_labelled    bigint Labelled rows since the rollout began that it is compared on: all, or
            those of its arm where labels follow predictions; NULL where none was read
        n_right       bigint Those of them that it is right on
        accuracy      double Their share
        accuracy_low  double Lower bound of it that holds at all looks at once, 95 %
        accuracy_high double Upper bound
        cost_per_thousand double Money for a thousand of these rows, by `costs` of the settings;
            NULL without
        log_better    double Evidence that the challenger is better, a natural logarithm
        log_worse     double Evidence that it is worse
        needed_better double What log_better has to exceed
        needed_worse  double What log_worse has to exceed
        rule, reason, who, recorded_at
    """),
    f"{_of_side('champion')}\nUNION ALL{_of_side('challenger')}\n",
)
