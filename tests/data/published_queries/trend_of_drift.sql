-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-output.html (drift_metrics), as dashboards ask it
-- Asks: of the newest twelve windows, in how many has each column drifted, and by how much each time?
-- Expect: rows
WITH drift AS (
  SELECT column_name, window.end AS ends, COALESCE(ks_test.statistic, js_distance) AS size
  FROM monitored_drift_metrics WHERE drift_type = 'CONSECUTIVE' AND slice_key IS NULL AND column_name <> ':table'
),
recent AS (SELECT DISTINCT ends FROM drift ORDER BY ends DESC LIMIT 12)
SELECT column_name, COUNT(*) AS measured, COUNT_IF(size > 0.1) AS drifted, ROUND(MAX(size), 3) AS largest,
  array_sort(collect_list(struct(ends, ROUND(size, 3) AS size))) AS series
FROM drift JOIN recent USING (ends)
WHERE size IS NOT NULL
GROUP BY column_name
ORDER BY drifted DESC, column_name
