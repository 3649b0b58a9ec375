-- After: https://github.com/databricks/mlops-stacks (template, monitoring/metric_violation_check_query.py.tmpl)
-- Asks: have three of the newest five windows of a model violated its threshold? The condition of a retraining job.
-- Expect: 1 row
SELECT IF(COUNT(*) >= 3, 1, 0) AS violated
FROM (
  SELECT accuracy_score, root_mean_squared_error, log_loss
  FROM monitored_profile_metrics
  WHERE log_type = "INPUT" AND column_name = ":table" AND slice_key IS NULL AND model_id != "*"
  ORDER BY window DESC
  LIMIT 5
)
WHERE accuracy_score < 0.8 OR root_mean_squared_error > 100
