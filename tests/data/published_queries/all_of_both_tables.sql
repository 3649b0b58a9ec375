-- After: https://github.com/Marco-Santoni/databricks-from-scratch
-- Asks: the two tables side by side, by the keys that they share.
-- Expect: rows
SELECT p.window, p.column_name, p.avg, p.min, p.max, p.distinct_count, p.num_zeros, p.num_nan, d.wasserstein_distance,
  p.monitor_version, p.logging_table_commit_version
FROM monitored_profile_metrics p
JOIN monitored_drift_metrics d ON d.window = p.window AND d.granularity = p.granularity AND d.column_name = p.column_name
  AND d.slice_key <=> p.slice_key AND d.slice_value <=> p.slice_value AND d.model_id = p.model_id
WHERE d.drift_type = 'CONSECUTIVE' AND p.log_type = 'INPUT'
