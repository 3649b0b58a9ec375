"""What jobs and their micro-batches did: rows for gold.job_run and gold.batch_metrics."""
