-- After: https://docs.databricks.com/en/lakehouse-monitoring/monitor-output.html (profile_metrics)
-- Asks: the newest labelled window of each model, its scores' fields taken out of their structs.
-- Expect: rows
WITH newest AS (
  SELECT MAX(window.start) AS starts FROM monitored_profile_metrics WHERE accuracy_score IS NOT NULL
)
SELECT CAST(window.start AS STRING) AS starts, granularity, model_id, count AS row_count, accuracy_score, log_loss,
  roc_auc_score, f1_score.weighted AS weighted_f1, recall.one_vs_all['1'] AS recall_of_1, size(confusion_matrix) AS cells
FROM monitored_profile_metrics
WHERE window.start = (SELECT starts FROM newest) AND column_name = ':table' AND slice_key IS NULL
ORDER BY model_id
