"""The views of gold: what operators ask, in plain columns. They hold no data; they say what the tables say now.

Each is written once, in Spark's SQL (`steps/catalogue.py` makes DuckDB's from it), as a template: names of tables, of
the model id column and of the day's granularity, the label horizon and the features come from the model's settings.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Template

from lakehouse.errors import ConfigurationError
from lakehouse.settings import ModelSettings
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.declaration import Column

DRIFT_PVALUE = 0.01
"""A column has drifted below this p-value, adjusted for the number of columns tested at once, ..."""
DRIFT_PSI = 0.2
"""... where its population stability index is significant by the usual reading (0.1 moderate, 0.2 significant), ..."""
DRIFT_JS = 0.1
"""... or, of a categorical column, which has no such index, its Jensen-Shannon distance is at least this."""
LEAST_COVERAGE = 0.95
"""Labels are overdue where fewer than this share of a window's rows have theirs when the horizon has passed."""
OVERDUE_FOR = dt.timedelta(days=7)
"""How long a window with overdue labels is an open alarm: labels that have not come by then will not be chased."""

_Z = 1.959963984540054  # the normal distribution's quantile for a 95 % interval
_DAY = ("1 day", "1 days", "24 hour", "24 hours")


@dataclass(frozen=True)
class View:
    """One view of gold: its name, what a row is, its columns with their types, and its query in Spark's SQL."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    sql: str

    @property
    def full_name(self) -> str:
        """`gold.name`, as SQL users write it."""
        return f"gold.{self.name}"


def views_of(model: ModelSettings, catalog: Catalog) -> tuple[View, ...]:
    """The views over the tables of a model.

    Raises:
        ConfigurationError: a table of the model has the name of a view.
    """
    names = _names(model, catalog)
    views = tuple(_filled(view, names) for view in (_DAILY, _HISTORY, _DECISIONS, _ALARMS, _SLICES, _GAIN))
    taken = {table.full_name for table in catalog.tables}
    clash = [view.full_name for view in views if view.full_name in taken]
    for view in views:
        twice = [name for name, times in Counter(column.name for column in view.columns).items() if times > 1]
        if twice:
            raise ConfigurationError(
                f"metrics.model_id_column: {twice[0]} is a column of {view.full_name} already; write another name"
            )
    if clash:
        raise ConfigurationError(f"{', '.join(clash)}: is a view of the engine; give the model's table another name")
    return views


def wilson_interval(share: str, n: str) -> tuple[str, str]:
    """SQL of the 95 % score interval of a share of n rows (Wilson 1927, JASA 22, p. 209); NULL where n is 0.

    Args:
        share: SQL of the share, 0-1.
        n: SQL of the number of rows.

    Returns:
        SQL of the lower and of the upper bound: exactly 0 at a share of 0, and 1 at a share of 1.
    """
    rows, squared = f"NULLIF({n}, 0)", _Z * _Z
    centre = f"{share} + {squared / 2!r} / {rows}"
    margin = f"{_Z!r} * SQRT({share} * (1 - {share}) / {rows} + {squared / 4!r} / {rows} / {rows})"
    scale = f"(1 + {squared!r} / {rows})"
    return (
        f"CASE WHEN {share} = 0 THEN CAST(0 AS DOUBLE) ELSE ({centre} - {margin}) / {scale} END",
        f"CASE WHEN {share} = 1 THEN CAST(1 AS DOUBLE) ELSE ({centre} + {margin}) / {scale} END",
    )


def _names(model: ModelSettings, catalog: Catalog) -> dict[str, str]:
    """What the templates leave open."""
    low, high = wilson_interval("p.accuracy_score", "p.n_labelled")
    error_low, error_high = wilson_interval("s.error_rate", "s.n_labelled")
    psi, distance = "f.population_stability_index", "f.js_distance"
    large = f"CASE WHEN {psi} IS NOT NULL THEN {psi} >= {DRIFT_PSI} ELSE {distance} >= {DRIFT_JS} END"
    horizon = model.labels.horizon
    return {
        "id": model.metrics.model_id_column,
        "day": next((text for text in map(str, model.metrics.granularities) if text in _DAY), _DAY[0]),
        "features": ", ".join(f"'{name}'" for name in model.predictions.features),
        "profile_metrics": catalog.profile_metrics.full_name,
        "drift_metrics": catalog.drift_metrics.full_name,
        "decision": catalog.decision.full_name,
        "promotion": catalog.promotion.full_name,
        "score": "COALESCE(d.evidence['score'], d.evidence['log_statistic'])",  # of a regression's CUSUM, of the policy
        "threshold": "COALESCE(d.evidence['threshold'], d.evidence['log_alarm'])",
        "accuracy_low": low,
        "accuracy_high": high,
        "error_low": error_low,
        "error_high": error_high,
        # A version is compared with the cross-fitted scores of its training, which are never quite those that it gives.
        "has_drifted": f"f.column_name <> 'score' AND f.adjusted_pvalue < {DRIFT_PVALUE} AND {large}",
        "psi": str(DRIFT_PSI),
        "distance": str(DRIFT_JS),
        "least_coverage": str(LEAST_COVERAGE),
        "horizon": f"INTERVAL '{int(horizon.total_seconds())}' SECOND",
        "overdue": f"INTERVAL '{int((horizon + OVERDUE_FOR).total_seconds())}' SECOND",
    }


def _filled(view: View, names: Mapping[str, str]) -> View:
    columns = tuple(replace(each, name=Template(each.name).substitute(names)) for each in view.columns)
    return replace(view, columns=columns, sql=Template(view.sql).substitute(names).strip())


_VERSION = Column("$id", "string", "Registered version that predicted; * for all together")
_DAY_OF_EVENTS = Column("day", "date", "Day of the events, UTC")
_FINAL = Column("is_final", "boolean", "No more labels can come within the label horizon")
_SEEN = Column("in_training_window", "boolean", "The version was trained on rows of this day: do not judge it by them")
_ROWS = (
    Column("n_rows", "bigint", "Predictions"),
    Column("n_labelled", "bigint", "Those whose label has come"),
)

_DAILY = View(
    "daily_quality",
    "A day × model version, and all versions together (*)",
    (
        _DAY_OF_EVENTS,
        _VERSION,
        *_ROWS,
        Column("label_coverage", "double", "Their share, 0-1"),
        _FINAL,
        _SEEN,
        Column("accuracy", "double", "Share of labelled rows predicted right; NULL for regression"),
        Column("accuracy_low", "double", "Lower bound of its 95 % interval (Wilson)"),
        Column("accuracy_high", "double", "Upper bound"),
        Column("root_mean_squared_error", "double", "For regression"),
        Column("champion", "string", "Version in production at the end of the day"),
        Column("drifted_features", "bigint", "Features that have drifted from the version's training data"),
        Column("drifted_columns", "string", "All columns that have, prediction and label among them, but the score"),
        Column("promotions", "bigint", "Promotions on that day"),
        Column("rollbacks", "bigint", "Rollbacks on that day"),
    ),
    """
WITH moves AS (
  SELECT action, to_version, as_of, recorded_at FROM $promotion WHERE action IN ('promote', 'rollback')
),
days AS (
  SELECT DISTINCT p.window_date, p.window.end AS ends FROM $profile_metrics AS p
  WHERE p.granularity = '$day' AND p.log_type = 'INPUT' AND p.column_name = ':table' AND p.slice_key IS NULL
),
champions AS (
  SELECT d.window_date, MAX_BY(m.to_version, m.recorded_at) AS champion
  FROM days AS d JOIN moves AS m ON m.as_of < d.ends GROUP BY d.window_date
),
moved AS (
  SELECT CAST(as_of AS DATE) AS moved_on, COUNT(CASE WHEN action = 'promote' THEN 1 END) AS promotions,
    COUNT(CASE WHEN action = 'rollback' THEN 1 END) AS rollbacks
  FROM moves GROUP BY CAST(as_of AS DATE)
),
drifted AS (
  SELECT f.window_date, f.$id, COUNT(CASE WHEN f.column_name IN ($features) THEN 1 END) AS drifted_features,
    ARRAY_JOIN(SORT_ARRAY(COLLECT_LIST(f.column_name)), ', ') AS drifted_columns
  FROM $drift_metrics AS f
  WHERE f.drift_type = 'BASELINE' AND f.granularity = '$day' AND f.slice_key IS NULL AND $has_drifted
  GROUP BY f.window_date, f.$id
)
SELECT p.window_date AS day, p.$id, p.count AS n_rows, p.n_labelled, p.label_coverage, p.is_final, p.in_training_window,
  p.accuracy_score AS accuracy, $accuracy_low AS accuracy_low, $accuracy_high AS accuracy_high,
  p.root_mean_squared_error, c.champion, COALESCE(d.drifted_features, 0) AS drifted_features, d.drifted_columns,
  COALESCE(m.promotions, 0) AS promotions, COALESCE(m.rollbacks, 0) AS rollbacks
FROM $profile_metrics AS p
LEFT JOIN champions AS c ON c.window_date = p.window_date
LEFT JOIN moved AS m ON m.moved_on = p.window_date
LEFT JOIN drifted AS d ON d.window_date = p.window_date AND d.$id = p.$id
WHERE p.granularity = '$day' AND p.log_type = 'INPUT' AND p.column_name = ':table' AND p.slice_key IS NULL
""",
)

_HISTORY = View(
    "production_history",
    "A span of time that a version was in production",
    (
        Column("model_version", "string", "Version in production"),
        Column("champion_from", "timestamp", "Newest label time when it took over"),
        Column("champion_to", "timestamp", "Newest label time when the next one did; NULL for the champion"),
        Column("is_champion", "boolean", "Whether it is in production now"),
        Column("action", "string", "promote, or rollback where it was gone back to"),
        Column("who", "string", "The loop, or the person who did it"),
        Column("recorded_at", "timestamp", "Wall-clock time"),
        Column("from_version", "string", "Version that it took over from; NULL for the first"),
        Column("reason", "string", "Why, in words"),
        Column("accuracy", "double", "Its accuracy on the rows that the gate compared on"),
        Column("accuracy_before", "double", "Accuracy on the same rows of the version that it took over from"),
        Column("rows_compared", "double", "How many they were"),
        Column("probability_better", "double", "Probability that it is the better one, by those rows"),
        Column("trained_from", "timestamp", "Event time of the first row that it was trained on"),
        Column("trained_to", "timestamp", "Event time of the last one"),
        Column("trained_rows", "bigint", "How many they were"),
        Column("changed_at", "timestamp", "Change point that it was trained from; NULL if none"),
        Column("ended_by", "string", "How its time ended: promote or rollback; NULL for the champion"),
        Column("evidence", "map<string,double>", "All figures that the promotion rests on"),
    ),
    """
WITH moves AS (
  SELECT *, LEAD(as_of) OVER (ORDER BY recorded_at) AS next_as_of,
    LEAD(action) OVER (ORDER BY recorded_at) AS next_action
  FROM $promotion WHERE action IN ('promote', 'rollback')
)
SELECT to_version AS model_version, as_of AS champion_from, next_as_of AS champion_to,
  next_as_of IS NULL AS is_champion, action, who, recorded_at, from_version, reason,
  evidence['challenger_accuracy'] AS accuracy, evidence['champion_accuracy'] AS accuracy_before,
  evidence['rows'] AS rows_compared, evidence['probability_better'] AS probability_better, trained_from, trained_to,
  trained_rows, changed_at, next_action AS ended_by, evidence
FROM moves
""",
)

_DECISIONS = View(
    "decision_history",
    "A decision, with the verdict on the challenger where one was trained",
    (
        Column("as_of", "timestamp", "Newest label time that had landed"),
        Column("model_version", "string", "Champion when it was decided; NULL before the first"),
        Column("action", "string", "wait, train_first, keep, retrain, refresh or blind (labels are overdue)"),
        Column("rule", "string", "Rule that decided"),
        Column("reason", "string", "Why, in words"),
        Column("score", "double", "Evidence that accuracy has fallen, a natural logarithm; NULL of other rules"),
        Column("threshold", "double", "What it was held against"),
        Column("change_at", "timestamp", "When the change began, by the evidence; NULL if none is seen"),
        Column("drift", "string", "What has drifted: concept, feature, label, prediction; of the policy"),
        Column("region", "string", "Where new labels contradict the champion, in words; NULL if nowhere"),
        Column("confidence", "double", "Probability that the rule has changed"),
        Column("advice", "string", "What to do about it, besides what the loop does by itself"),
        Column("verdict", "string", "promote or refuse; NULL where nothing was trained, or its verdict is to come"),
        Column("challenger", "string", "Version that was judged; NULL if training gave none"),
        Column("verdict_reason", "string", "Why, in words"),
        Column("probability_better", "double", "Probability that the challenger is the better one"),
        Column("decided_at", "timestamp", "Wall-clock time"),
    ),
    """
WITH decisions AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of, retrain ORDER BY decided_at) AS place FROM $decision
),
verdicts AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of ORDER BY recorded_at) AS place
  FROM $promotion WHERE action IN ('promote', 'refuse')
)
SELECT d.as_of, d.model_version, d.action, d.rule, ARRAY_JOIN(d.reasons, '; ') AS reason, $score AS score,
  $threshold AS threshold, d.change_at, NULLIF(ARRAY_JOIN(d.drift_kind, ', '), '') AS drift,
  NULLIF(ARRAY_JOIN(d.region, '; '), '') AS region, d.confidence, d.advice, p.action AS verdict,
  p.to_version AS challenger, p.reason AS verdict_reason, p.evidence['probability_better'] AS probability_better,
  d.decided_at
FROM decisions AS d LEFT JOIN verdicts AS p ON d.retrain AND p.as_of = d.as_of AND p.place = d.place
""",
)

_ALARMS = View(
    "open_alarms",
    "A thing that somebody should look at now; no rows: nothing",
    (
        Column("alarm", "string", "retraining (asked for by an alarm, no promotion since), drift, or labels overdue"),
        Column("subject", "string", "The decision, the column, or the day"),
        Column("since", "timestamp", "First such decision, or start of the window"),
        Column("until", "timestamp", "Newest such decision, or end of the window"),
        Column("value", "double", "The figure that raised it"),
        Column("threshold", "double", "What it was held against"),
        Column("detail", "string", "What the figure is, or the decision in words"),
    ),
    """
WITH days AS (
  SELECT p.window, p.window_date, p.label_coverage, p.is_final, p.as_of FROM $profile_metrics AS p
  WHERE p.granularity = '$day' AND p.log_type = 'INPUT' AND p.column_name = ':table' AND p.slice_key IS NULL
    AND p.$id = '*'
),
clock AS (
  SELECT GREATEST(MAX(d.window.start), MAX(d.as_of)) AS now,
    MAX(CASE WHEN d.is_final THEN d.window_date END) AS newest_final
  FROM days AS d
),
promoted AS (SELECT MAX(as_of) AS as_of FROM $promotion WHERE action = 'promote')
SELECT 'retraining' AS alarm, d.action AS subject, MIN(d.as_of) AS since, MAX(d.as_of) AS until,
  MAX_BY($score, d.as_of) AS value, MAX_BY($threshold, d.as_of) AS threshold,
  MAX_BY(ARRAY_JOIN(d.reasons, '; '), d.as_of) AS detail
FROM $decision AS d CROSS JOIN promoted AS p
WHERE d.retrain AND d.action <> 'refresh' AND (p.as_of IS NULL OR d.as_of > p.as_of) GROUP BY d.action
UNION ALL
SELECT 'drift', f.column_name, f.window.start, f.window.end, COALESCE(f.population_stability_index, f.js_distance),
  CAST(CASE WHEN f.population_stability_index IS NOT NULL THEN $psi ELSE $distance END AS DOUBLE),
  CASE WHEN f.population_stability_index IS NOT NULL THEN 'population stability index against the training data'
    ELSE 'Jensen-Shannon distance from the training data' END
FROM $drift_metrics AS f JOIN clock AS c ON f.window_date = c.newest_final
WHERE f.drift_type = 'BASELINE' AND f.granularity = '$day' AND f.slice_key IS NULL AND f.$id = '*' AND $has_drifted
UNION ALL
SELECT 'labels overdue', CAST(d.window_date AS STRING), d.window.start, d.window.end, d.label_coverage,
  CAST($least_coverage AS DOUBLE), 'share of rows whose label has come'
FROM days AS d CROSS JOIN clock AS c
WHERE d.label_coverage < $least_coverage AND d.window.end + $horizon <= c.now AND d.window.end + $overdue > c.now
""",
)

_SLICES = View(
    "error_by_slice",
    "A day × model version × slice, the whole table among them",
    (
        _DAY_OF_EVENTS,
        _VERSION,
        Column("slice_key", "string", "Slicing expression; NULL for the whole table"),
        Column("slice_value", "string", "Value of that expression"),
        *_ROWS,
        _FINAL,
        _SEEN,
        Column("n_wrong", "bigint", "Labelled rows predicted wrong; NULL for regression"),
        Column("error_rate", "double", "Their share, 0-1"),
        Column("error_rate_low", "double", "Lower bound of its 95 % interval (Wilson)"),
        Column("error_rate_high", "double", "Upper bound"),
        Column("error_rate_all", "double", "Error rate of the whole table on that day"),
        Column("share_of_errors", "double", "Share of that day's errors that lie in the slice, 0-1"),
        Column("root_mean_squared_error", "double", "For regression"),
    ),
    """
WITH slices AS (
  SELECT p.window_date, p.$id, p.slice_key, p.slice_value, p.count AS n_rows, p.n_labelled, p.is_final,
    p.in_training_window, 1 - p.accuracy_score AS error_rate,
    CAST(ROUND((1 - p.accuracy_score) * p.n_labelled) AS BIGINT) AS n_wrong, p.root_mean_squared_error
  FROM $profile_metrics AS p
  WHERE p.granularity = '$day' AND p.log_type = 'INPUT' AND p.column_name = ':table'
),
compared AS (
  SELECT *, MAX(CASE WHEN slice_key IS NULL THEN error_rate END) OVER (PARTITION BY window_date, $id) AS error_rate_all,
    MAX(CASE WHEN slice_key IS NULL THEN n_wrong END) OVER (PARTITION BY window_date, $id) AS n_wrong_all
  FROM slices
)
SELECT s.window_date AS day, s.$id, s.slice_key, s.slice_value, s.n_rows, s.n_labelled, s.is_final,
  s.in_training_window, s.n_wrong, s.error_rate, $error_low AS error_rate_low, $error_high AS error_rate_high,
  s.error_rate_all, s.n_wrong / NULLIF(s.n_wrong_all, 0) AS share_of_errors, s.root_mean_squared_error
FROM compared AS s
""",
)

_GAIN = View(
    "retraining_gain",
    "A day, without those that the first model was trained on",
    (
        _DAY_OF_EVENTS,
        _FINAL,
        Column("n_labelled", "bigint", "Predictions whose label has come"),
        Column("accuracy", "double", "Share of them that the models in production got right"),
        Column("accuracy_without_retraining", "double", "Share that the first promoted model would have got right"),
        Column("errors_avoided", "bigint", "Errors that retraining spared on that day; below 0: that it cost"),
        Column("n_labelled_so_far", "bigint", "Labelled predictions since the first promotion"),
        Column("accuracy_so_far", "double", "Share of those that the models in production got right"),
        Column("accuracy_without_so_far", "double", "Share that the first promoted model would have got right"),
        Column("errors_avoided_so_far", "bigint", "Errors that retraining has spared since the first promotion"),
    ),
    """
WITH days AS (
  SELECT p.window_date, p.is_final, p.n_labelled, p.accuracy_score, p.accuracy_without_retraining,
    CAST(ROUND(p.accuracy_score * p.n_labelled) AS BIGINT) AS n_right,
    CAST(ROUND(p.accuracy_without_retraining * p.n_labelled) AS BIGINT) AS n_right_without
  FROM $profile_metrics AS p
  WHERE p.granularity = '$day' AND p.log_type = 'INPUT' AND p.column_name = ':table' AND p.slice_key IS NULL
    AND p.$id = '*' AND p.accuracy_without_retraining IS NOT NULL AND NOT p.in_training_window
),
summed AS (
  SELECT *, SUM(n_labelled) OVER (ORDER BY window_date) AS labelled,
    SUM(n_right) OVER (ORDER BY window_date) AS right_with,
    SUM(n_right_without) OVER (ORDER BY window_date) AS right_without
  FROM days
)
SELECT window_date AS day, is_final, n_labelled, accuracy_score AS accuracy, accuracy_without_retraining,
  n_right - n_right_without AS errors_avoided, CAST(labelled AS BIGINT) AS n_labelled_so_far,
  right_with / labelled AS accuracy_so_far, right_without / labelled AS accuracy_without_so_far,
  CAST(right_with - right_without AS BIGINT) AS errors_avoided_so_far
FROM summed
""",
)
