"""Views of what models got right, day by day and slice by slice, and of what is wrong now."""

from functools import partial

from lakehouse.tables.declaration import View, columns
from lakehouse.tables.gold import PROFILE_METRICS

# Columns that more than one of the views has.
SHARED = columns(
    """
    day                     date    Day of the events, UTC
    $id                     string  Registered version that predicted; * for all together
    n_rows                  bigint  Predictions
    n_labelled              bigint  Those whose label has come
    is_final
    in_training_window      boolean The version was trained on rows of this day: do not judge it by
        them
    slice_key
    slice_value
    root_mean_squared_error
""",
    PROFILE_METRICS.columns,
)
shared_columns = partial(columns, declared=SHARED)

DAILY = View(
    "daily_quality",
    "A day × model version, and all versions together (*)",
    shared_columns("""
        day, $id, n_rows, n_labelled
        label_coverage   double Their share, 0-1
        is_final, in_training_window
        accuracy         double Share of labelled rows predicted right; NULL for regression
        accuracy_low     double Lower bound of its 95 % interval (Wilson)
        accuracy_high    double Upper bound
        root_mean_squared_error
        champion         string Version in production at the end of the day
        drifted_features bigint Features that have drifted from the version's training data
        drifted_columns  string All columns that have, prediction and label among them, but the
            score
        promotions       bigint Promotions on that day
        rollbacks        bigint Rollbacks on that day
    """),
    """
WITH moves AS (
  SELECT action, to_version, as_of, recorded_at FROM $promotion WHERE action IN ('promote',
  'rollback')
),
days AS (
  SELECT DISTINCT p.window_date, p.window.end AS ends FROM $profile_metrics AS p
  WHERE $of_whole_days
),
champions AS (
  SELECT d.window_date, MAX_BY(m.to_version, m.recorded_at) AS champion
  FROM days AS d JOIN moves AS m ON m.as_of < d.ends GROUP BY d.window_date
),
moved AS (
  SELECT CAST(as_of AS DATE) AS moved_on, COUNT(CASE WHEN action = 'promote' THEN 1 END) AS
    promotions, COUNT(CASE WHEN action = 'rollback' THEN 1 END) AS rollbacks
  FROM moves GROUP BY CAST(as_of AS DATE)
),
drifted AS (
  SELECT f.window_date, f.$id, COUNT(CASE WHEN f.column_name IN ($features) THEN 1 END) AS
    drifted_features, ARRAY_JOIN(SORT_ARRAY(COLLECT_LIST(f.column_name)), ', ') AS drifted_columns
  FROM $drift_metrics AS f
  WHERE f.drift_type = 'BASELINE' AND f.granularity = '$day' AND f.slice_key IS NULL AND
  $has_drifted GROUP BY f.window_date, f.$id
)
SELECT p.window_date AS day, p.$id, p.count AS n_rows, p.n_labelled, p.label_coverage, p.is_final,
  p.in_training_window, p.accuracy_score AS accuracy, $accuracy_low AS accuracy_low, $accuracy_high
  AS accuracy_high, p.root_mean_squared_error, c.champion, COALESCE(d.drifted_features, 0) AS
  drifted_features, d.drifted_columns, COALESCE(m.promotions, 0) AS promotions,
  COALESCE(m.rollbacks, 0) AS rollbacks
FROM $profile_metrics AS p
LEFT JOIN champions AS c ON c.window_date = p.window_date
LEFT JOIN moved AS m ON m.moved_on = p.window_date
LEFT JOIN drifted AS d ON d.window_date = p.window_date AND d.$id = p.$id
WHERE $of_whole_days
""",
)

ALARMS = View(
    "open_alarms",
    "A thing that somebody should look at now; no rows: nothing",
    columns("""
        alarm     string    retraining (asked for, no promotion since), approval, drift, labels
            overdue, or file (a landed file that cannot be read, or since yesterday one that is
            odd)
        subject   string    The decision, the version, the column, the day, or the file
        since     timestamp First such decision, start of the window, or when the file was looked
            at
        until     timestamp Newest such decision, end of the window, or when the file was looked at
        value     double    The figure that raised it
        threshold double    What it was held against
        detail    string    What the figure is, or the decision in words
    """),
    """
WITH days AS (
  SELECT p.window, p.window_date, p.label_coverage, p.is_final, p.as_of FROM $profile_metrics AS p
  WHERE $of_whole_days AND p.$id = '*'
),
clock AS (
  SELECT GREATEST(MAX(d.window.start), MAX(d.as_of)) AS now,
    MAX(CASE WHEN d.is_final THEN d.window_date END) AS newest_final
  FROM days AS d
),
promoted AS (SELECT MAX(as_of) AS as_of FROM $promotion WHERE action = 'promote'),
verdicts AS (
  SELECT *, ROW_NUMBER() OVER (ORDER BY recorded_at DESC) AS place
  FROM $promotion WHERE action IN ('promote', 'pending', 'rollout', 'refuse')
),
looks AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY source_file ORDER BY seen_at DESC, landed_file_id DESC)
    AS place, MAX(seen_at) OVER () AS newest
  FROM $landed_file
)
SELECT 'retraining' AS alarm, d.action AS subject, MIN(d.as_of) AS since, MAX(d.as_of) AS until,
  MAX_BY($score, d.as_of) AS value, MAX_BY($threshold, d.as_of) AS threshold,
  MAX_BY(ARRAY_JOIN(d.reasons, '; '), d.as_of) AS detail
FROM $decision AS d CROSS JOIN promoted AS p
WHERE d.retrain AND d.action <> 'refresh' AND (p.as_of IS NULL OR d.as_of > p.as_of) GROUP BY
d.action UNION ALL
SELECT 'approval', v.to_version, v.as_of, v.as_of, v.evidence['probability_better'], CAST(NULL AS
DOUBLE), v.reason FROM verdicts AS v WHERE v.place = 1 AND v.action = 'pending'
UNION ALL
SELECT 'drift', f.column_name, f.window.start, f.window.end, $drift_index, CAST($large_drift AS
  DOUBLE), CASE WHEN f.population_stability_index IS NOT NULL THEN 'population stability index
    against the training data' ELSE 'total variation distance from the training data' END
FROM $drift_metrics AS f JOIN clock AS c ON f.window_date = c.newest_final
WHERE f.drift_type = 'BASELINE' AND f.granularity = '$day' AND f.slice_key IS NULL AND f.$id = '*'
AND $has_drifted UNION ALL
SELECT 'file', l.source_file, l.seen_at, l.seen_at, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE),
l.reason FROM looks AS l
WHERE l.place = 1 AND l.reason IS NOT NULL
  AND (l.status = 'unreadable' OR l.seen_at >= l.newest - INTERVAL '86400' SECOND)
UNION ALL
SELECT 'labels overdue', CAST(d.window_date AS STRING), d.window.start, d.window.end,
  d.label_coverage, CAST($least_coverage AS DOUBLE), 'share of rows whose label has come'
FROM days AS d CROSS JOIN clock AS c
WHERE $is_overdue AND $is_chased
""",
)

SLICES = View(
    "error_by_slice",
    "A day × model version × slice, the whole table among them",
    shared_columns("""
        day, $id, slice_key, slice_value, n_rows, n_labelled, is_final, in_training_window
        n_wrong         bigint Labelled rows predicted wrong; NULL for regression
        error_rate      double Their share, 0-1
        error_rate_low  double Lower bound of its 95 % interval (Wilson)
        error_rate_high double Upper bound
        error_rate_all  double Error rate of the whole table on that day
        share_of_errors double Share of that day's errors that lie in the slice, 0-1
        root_mean_squared_error
    """),
    """
WITH slices AS (
  SELECT p.window_date, p.$id, p.slice_key, p.slice_value, p.count AS n_rows, p.n_labelled,
    p.is_final, p.in_training_window, 1 - p.accuracy_score AS error_rate,
    CAST(ROUND((1 - p.accuracy_score) * p.n_labelled) AS BIGINT) AS n_wrong,
    p.root_mean_squared_error
  FROM $profile_metrics AS p
  WHERE $of_days
),
compared AS (
  SELECT *, MAX(CASE WHEN slice_key IS NULL THEN error_rate END) OVER (PARTITION BY window_date,
    $id) AS error_rate_all, MAX(CASE WHEN slice_key IS NULL THEN n_wrong END) OVER (PARTITION BY
    window_date, $id) AS n_wrong_all
  FROM slices
)
SELECT s.window_date AS day, s.$id, s.slice_key, s.slice_value, s.n_rows, s.n_labelled, s.is_final,
  s.in_training_window, s.n_wrong, s.error_rate, $error_low AS error_rate_low, $error_high AS
  error_rate_high, s.error_rate_all, s.n_wrong / NULLIF(s.n_wrong_all, 0) AS share_of_errors,
  s.root_mean_squared_error
FROM compared AS s
""",
)
