-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-alerts.html (an alert is a query whose rows raise it)
-- Asks: features that differ from the training data in a window that is over.
-- Expect: no rows
SELECT window.start, window.end, column_name, js_distance, ks_test.pvalue AS ks_pvalue, wasserstein_distance,
  population_stability_index, chi_squared_test.pvalue
FROM monitored_drift_metrics
WHERE drift_type = 'BASELINE' AND column_name IN ('temp', 'pressure', 'duration') AND slice_key IS NULL
  AND window.start >= current_date() - INTERVAL 100000 DAYS AND window.end <= current_timestamp()
  AND (ks_test.pvalue < 0.001 OR chi_squared_test.pvalue < 0.001 OR js_distance > 0.15)
