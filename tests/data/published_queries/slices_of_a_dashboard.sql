-- After: https://github.com/prashsub/databricks-health-monitor (docs/dashboard-framework-design, datasets with slices)
-- Asks: the whole table under a name for its missing slice, as dashboards with a slice filter do.
-- Expect: rows
SELECT DATE(window.start) AS day, COALESCE(slice_key, 'No Slice') AS slice, COALESCE(slice_value, 'No Slice') AS value,
  SUM(count) AS row_count
FROM monitored_profile_metrics
WHERE log_type = 'INPUT' AND column_name = ':table' AND granularity = '1 day' AND model_id = '*'
  AND window.start >= TIMESTAMP '2019-07-01' AND window.end <= TIMESTAMP '2019-08-01'
  AND COALESCE(slice_key, 'No Slice') = 'No Slice'
GROUP BY ALL
ORDER BY day
