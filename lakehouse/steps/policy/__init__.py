"""The retraining policy: pure functions from evidence to decisions, without Spark or MLflow."""
