-- After: https://github.com/databricks-demos/dbdemos-notebooks (MLOps end to end, drift detection)
-- Asks: a quality measure by window, the model id column in another case, quotes of the other kind.
-- Expect: rows
SELECT window.start AS time, Model_Version AS `Model Id`, accuracy_score, f1_score.macro AS macro_f1,
  precision.weighted AS weighted_precision, recall.weighted AS weighted_recall
FROM monitored_profile_metrics
WHERE column_name = ":table" AND log_type = "INPUT" AND Model_Version = '*'
  AND slice_key is null AND slice_value is null AND window.start >= "2019-07-05"
ORDER BY window.start
