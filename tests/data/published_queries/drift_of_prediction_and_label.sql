-- After: https://github.com/databricks-demos/dbdemos-notebooks (MLOps end to end, drift detection)
-- Asks: each measure of categorical drift, window by window.
-- Expect: rows
SELECT window.start AS time, column_name, Model_Version AS `Model Id`, js_distance, tv_distance, l_infinity_distance,
  chi_squared_test.statistic AS chi_squared, chi_squared_test.pvalue AS chi_squared_pvalue
FROM monitored_drift_metrics
WHERE drift_type = "CONSECUTIVE" AND column_name IN ('prediction', 'quality') AND Model_Version = '*'
  AND slice_key is null AND slice_value is null AND window.start >= "2019-07-05"
  AND js_distance IS NOT NULL
ORDER BY window.start, column_name
