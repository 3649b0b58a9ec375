-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-output.html (quantiles, frequent_items)
-- Asks: the quantiles and the most frequent values, of windows and of the baseline.
-- Expect: rows
SELECT log_type, window.start, column_name, data_type, median, quantiles[500] AS quantile_500, quantiles[250] AS lower,
  quantiles[750] AS upper, stddev, top.item, top.count AS times
FROM monitored_profile_metrics LATERAL VIEW OUTER inline(slice(frequent_items, 1, 1)) top AS item, count
WHERE column_name IN ('temp', 'prediction') AND slice_key IS NULL
ORDER BY log_type, column_name, window
