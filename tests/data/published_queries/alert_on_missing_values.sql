-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-alerts.html (the share of missing values)
-- Asks: columns with missing, NaN or zero values beyond a share, or fewer rows than there should be.
-- Expect: no rows
SELECT window.start, granularity, column_name, count, num_nulls, percent_null, percent_nan, percent_zeros, percent_distinct
FROM monitored_profile_metrics
WHERE log_type = 'INPUT' AND slice_key IS NULL AND window.start >= date_sub(current_date(), 100000)
  AND column_name IN ('temp', 'pressure', 'duration') AND (count = 0 OR percent_null > 1 OR percent_nan > 0)
