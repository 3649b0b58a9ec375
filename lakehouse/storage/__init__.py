"""Where things are kept: Delta tables, streaming queries, MLflow, landed files."""
