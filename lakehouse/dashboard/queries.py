"""The query behind each panel, in Spark's SQL: the page shows it, and `make sql` answers it.

`$id` is the model id column, `$day` the granularity of a day.
"""

from string import Template

RECENT_DAYS = 60
"""Of what is summed over the newest days and compared with those before."""

_WHOLE_DAYS = (
    "p.granularity = '$day' AND p.log_type = 'INPUT' AND p.slice_key IS NULL AND p.$id = '*'"
)

RECENT_RUNS = 50
"""Of each job, whose phases are averaged."""

PERCENTS = tuple(range(5, 100, 5))
_VENTILES = ", ".join(f"p.quantiles[{10 * percent}] AS q{percent}" for percent in PERCENTS)

_QUERIES = {
    "alarms": """
SELECT alarm, subject, since, until, value, threshold, detail
FROM gold.open_alarms ORDER BY alarm, subject, since
""",
    "daily": """
SELECT day, n_rows, n_labelled, n_rows - n_labelled AS n_waiting, label_coverage, is_final,
  in_training_window, accuracy, accuracy_low, accuracy_high, root_mean_squared_error, champion,
  drifted_columns
FROM gold.daily_quality WHERE $id = '*' ORDER BY day
""",
    "gain": """
SELECT day, n_labelled, accuracy, accuracy_without_retraining, accuracy_retrained_daily,
  errors_avoided, errors_avoided_so_far, errors_avoided_against_daily_so_far,
  daily_trainings_so_far
FROM gold.retraining_gain ORDER BY day
""",
    "measures": f"""
SELECT p.window_date AS day, p.log_loss, p.roc_auc_score, p.brier_score,
  p.expected_calibration_error, p.mean_average_error, p.r2_score
FROM gold.profile_metrics AS p
WHERE {_WHOLE_DAYS} AND p.column_name = ':table' ORDER BY day
""",
    "confusion": f"""
SELECT p.window_date AS day, cell.prediction AS prediction, cell.label AS label,
  cell.count AS n
FROM gold.profile_metrics AS p LATERAL VIEW EXPLODE(p.confusion_matrix) cells AS cell
WHERE {_WHOLE_DAYS} AND p.column_name = ':table' AND p.window_date > (
  SELECT MAX(day) FROM gold.daily_quality WHERE n_labelled > 0) - INTERVAL {RECENT_DAYS} DAY
ORDER BY day, label, prediction
""",
    "reliability": f"""
SELECT f.window_date AS day, bin, SUM(cell.rows) AS n, SUM(cell.right) AS n_right,
  SUM(cell.confidence) AS sum_confidence
FROM gold.window_facts AS f LATERAL VIEW POSEXPLODE(f.quality.calibration) cells AS bin, cell
WHERE f.slice_key IS NULL AND cell.rows > 0 AND f.window_date > (
  SELECT MAX(window_date) FROM gold.window_facts) - INTERVAL {RECENT_DAYS} DAY
GROUP BY f.window_date, bin ORDER BY day, bin
""",
    "slices": """
SELECT slice_key, slice_value, SUM(n_labelled) AS n_labelled, SUM(n_wrong) AS n_wrong,
  SUM(n_wrong) / SUM(n_labelled) AS error_rate
FROM gold.error_by_slice
WHERE $id = '*' AND is_final AND day > (SELECT MAX(day) FROM gold.error_by_slice WHERE is_final)
  - INTERVAL 30 DAY
GROUP BY slice_key, slice_value ORDER BY slice_key NULLS FIRST, slice_value
""",
    "moves": """
SELECT as_of, action, from_version, to_version, who, trained_rows, changed_at, reason, recorded_at
FROM gold.promotion ORDER BY as_of, recorded_at, action
""",
    "decisions": """
SELECT as_of, action, rule, score, threshold, drift, change_at, region, confidence, verdict,
  challenger, probability_better, trained_rows, training_seconds, errors_avoided, reason,
  verdict_reason, advice
FROM gold.decision_history ORDER BY as_of, decided_at
""",
    "changes": """
SELECT as_of, action, change_at, change_between.`from` AS change_from,
  change_between.`to` AS change_to
FROM gold.decision WHERE change_at IS NOT NULL ORDER BY as_of, action
""",
    "history": """
SELECT model_version, champion_from, champion_to, is_champion, action, from_version, accuracy,
  accuracy_before, mean_absolute_error, mean_absolute_error_before, rows_compared,
  probability_better, trained_from, trained_to, trained_rows,
  changed_at, ended_by, reason
FROM gold.production_history ORDER BY champion_from, recorded_at
""",
    "differences": """
SELECT as_of, action, from_version, to_version, region, change, n_rows, n_differ, for_challenger,
  for_champion
FROM gold.version_difference
ORDER BY as_of, recorded_at, to_version, region NULLS FIRST
""",
    "rollouts": """
SELECT rollout_id, as_of, action, strategy, share, side, model_version, n_labelled, n_right,
  accuracy, accuracy_low, accuracy_high, cost_per_thousand, log_better, log_worse, needed_better,
  needed_worse, rule, reason, who
FROM gold.rollout_side ORDER BY recorded_at, side
""",
    "drift": """
SELECT d.window_date AS day, d.column_name,
  COALESCE(d.population_stability_index, d.tv_distance) AS drift_index, d.adjusted_pvalue
FROM gold.drift_metrics AS d
WHERE d.drift_type = 'BASELINE' AND d.granularity = '$day' AND d.slice_key IS NULL
  AND d.$id = '*' AND d.column_name NOT IN (':table', 'score')
ORDER BY day, column_name
""",
    "columns": f"""
SELECT p.window_date AS day, p.column_name, p.count AS n, p.percent_null, p.avg, p.min, p.max
FROM gold.profile_metrics AS p
WHERE {_WHOLE_DAYS} AND p.column_name NOT IN (':table', 'score') ORDER BY day, column_name
""",
    "distances": f"""
SELECT d.window_date AS day, d.column_name, d.ks_test.statistic AS ks_statistic, d.js_distance,
  d.hellinger_distance, d.wasserstein_distance
FROM gold.drift_metrics AS d
WHERE d.drift_type = 'BASELINE' AND d.granularity = '$day' AND d.slice_key IS NULL
  AND d.$id = '*' AND d.column_name NOT IN (':table', 'score') AND d.window_date > (
    SELECT MAX(window_date) FROM gold.drift_metrics WHERE granularity = '$day')
    - INTERVAL {RECENT_DAYS} DAY
ORDER BY day, column_name
""",
    "quantiles": f"""
SELECT p.window_date AS day, p.column_name, p.quantiles[50] AS q5, p.quantiles[250] AS q25,
  p.quantiles[500] AS q50, p.quantiles[750] AS q75, p.quantiles[950] AS q95
FROM gold.profile_metrics AS p
WHERE {_WHOLE_DAYS} AND p.quantiles IS NOT NULL AND p.column_name NOT IN (':table', 'score')
  AND p.window_date > (SELECT MAX(window_date) FROM gold.profile_metrics
    WHERE granularity = '$day') - INTERVAL {RECENT_DAYS} DAY
ORDER BY day, column_name
""",
    "baselines": """
SELECT p.$id AS model_version, p.column_name, p.data_type, p.count AS n, p.avg, p.stddev, p.min,
  p.median, p.max
FROM gold.profile_metrics AS p
WHERE p.log_type = 'BASELINE' AND p.column_name <> ':table' AND p.$id <> '*'
ORDER BY model_version, column_name
""",
    "distribution": f"""
SELECT p.log_type, p.$id AS model_version, p.window_date AS day, p.column_name, p.count AS n,
  p.min, {_VENTILES}, p.max
FROM gold.profile_metrics AS p
WHERE p.quantiles IS NOT NULL AND p.column_name NOT IN (':table', 'score') AND (
  p.log_type = 'BASELINE' AND p.$id = (
    SELECT MAX_BY(h.model_version, h.recorded_at) FROM gold.production_history AS h
    JOIN gold.profile_metrics AS b ON b.log_type = 'BASELINE' AND b.$id = h.model_version)
  OR {_WHOLE_DAYS} AND p.window_date = (
    SELECT MAX(window_date) FROM gold.profile_metrics WHERE granularity = '$day'))
ORDER BY column_name, log_type
""",
    "scoring": """
SELECT recorded_at, batch_id, model_version, rows, seconds, 1000 * seconds / rows AS
  seconds_per_1000_rows
FROM gold.cost WHERE kind = 'scoring' AND rows > 0 ORDER BY recorded_at DESC, batch_id LIMIT 200
""",
    "trainings": """
SELECT as_of, model_version, rows, seconds, recorded_at
FROM gold.cost WHERE kind = 'training' ORDER BY as_of, recorded_at
""",
    "files": """
SELECT CAST(landed_at AS DATE) AS day, source, status, COUNT(*) AS files, SUM(lines) AS lines,
  SUM(size) AS bytes
FROM bronze.landed_file GROUP BY CAST(landed_at AS DATE), source, status
ORDER BY day, source, status
""",
    "quarantine": """
SELECT q.source, reason, COUNT(*) AS lines, MIN(q.landed_at) AS first, MAX(q.landed_at) AS newest
FROM silver.quarantine AS q LATERAL VIEW EXPLODE(q.reasons) broken AS reason
GROUP BY q.source, reason ORDER BY lines DESC, source, reason
""",
    "provenance": """
SELECT promotion_id, as_of, recorded_at, action, who, from_version, to_version, is_champion, reason,
  decision_id, decision_rule, decision_reason, windows_id, facts_id, rows_compared,
  probability_better, run_id, model_sha256, trained_from, trained_to, trained_rows, readings_id,
  labels_id, files, first_file, last_file, file_lines, commits
FROM gold.promotion_provenance ORDER BY recorded_at
""",
    "jobs": """
SELECT job, outcome, recorded_at, seconds, batches, error_class, error, n_runs, n_failed
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY job ORDER BY recorded_at DESC, pass DESC) AS place,
    COUNT(*) OVER (PARTITION BY job) AS n_runs,
    COUNT(CASE WHEN outcome <> 'ok' THEN 1 END) OVER (PARTITION BY job) AS n_failed
  FROM gold.job_run
) AS r WHERE place = 1 ORDER BY job
""",
    "failures": """
SELECT recorded_at, job, outcome, error_class, error
FROM gold.job_run WHERE outcome <> 'ok' ORDER BY recorded_at DESC, job LIMIT 50
""",
    "phases": f"""
SELECT job, phase, COUNT(*) AS runs, AVG(phase_seconds[phase]) AS seconds_mean,
  MAX(phase_seconds[phase]) AS seconds_most
FROM (
  SELECT job, phase_seconds, ROW_NUMBER() OVER (PARTITION BY job ORDER BY recorded_at DESC) AS place
  FROM gold.job_run
) AS r LATERAL VIEW EXPLODE(MAP_KEYS(r.phase_seconds)) phases AS phase
WHERE place <= {RECENT_RUNS} GROUP BY job, phase ORDER BY job, seconds_mean DESC, phase
""",
    "batches": f"""
SELECT query, began_at, batch_id, outcome, error_class, seconds, rows_in, rows_out, rows_rejected,
  rows_duplicate, files_in, bytes_in, rows_in / NULLIF(seconds, 0) AS rows_per_second, lag_seconds,
  backlog_files, backlog_bytes, backlog_rows, oldest_waiting_seconds, heap_used_bytes,
  python_peak_bytes
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY query ORDER BY began_at DESC) AS place
  FROM gold.batch_metrics WHERE recorded_at > (
    SELECT MAX(recorded_at) FROM gold.batch_metrics) - INTERVAL {RECENT_DAYS} DAY
) AS b WHERE place <= 200 ORDER BY query, began_at DESC
""",
    "monitor": """
SELECT monitor_version, configuration, recorded_at FROM gold.monitor ORDER BY monitor_version
""",
}


def queries_of(model_id: str, day: str) -> dict[str, str]:
    """The queries by their names, for a model id column and the granularity of a day."""
    return {
        name: Template(sql.strip()).substitute(id=model_id, day=day)
        for name, sql in _QUERIES.items()
    }
