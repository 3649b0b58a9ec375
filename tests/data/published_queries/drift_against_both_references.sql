-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-output.html (drift_metrics)
-- Asks: each column's change against the window before and against the baseline, with the deltas.
-- Expect: rows
SELECT d.window, d.window_cmp, d.drift_type, d.column_name, d.data_type, d.count_delta, d.avg_delta, d.percent_null_delta,
  d.percent_zeros_delta, d.percent_distinct_delta, d.non_null_columns_delta.added, d.non_null_columns_delta.missing,
  CASE WHEN d.ks_test.pvalue < 0.01 THEN 'HIGH' WHEN d.ks_test.pvalue < 0.05 THEN 'MEDIUM' ELSE 'LOW' END AS severity
FROM monitored_drift_metrics AS d
WHERE d.drift_type IN ('CONSECUTIVE', 'BASELINE') AND d.model_id = '*'
ORDER BY d.column_name, d.window, d.drift_type
LIMIT 50
