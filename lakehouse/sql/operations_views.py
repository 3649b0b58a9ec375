"""View of what micro-batches did, hour by hour."""

from lakehouse.tables.declaration import View, columns

OPERATIONS = View(
    "operations",
    "An hour × streaming query or step that had a micro-batch in it, by the wall clock",
    columns("""
        hour            timestamp Beginning of the hour, UTC
        query           string    Name of the query or step
        batches         bigint    Micro-batches that ended well
        failures        bigint    Attempts that failed
        error_share     double    Share of all attempts that failed, 0-1
        seconds_p50     double    Median of the seconds of batches that ended well, interpolated
        seconds_p95     double    95th percentile of these
        rows_in         bigint    Rows read
        rows_out        bigint    Rows written
        rows_rejected   bigint    Rows turned away
        rows_duplicate  bigint    Rows that said again what was known
        rows_per_second double    Rows read in a second of the batches that ended well
        lag_seconds     double    Greatest age of a row when its batch had ended
        backlog_files   bigint    Most files that waited
        backlog_bytes   bigint    Most bytes that waited
        backlog_rows    bigint    Most rows that waited
        oldest_waiting_seconds double Greatest age of what waited
        heap_used_bytes bigint    Most heap of Spark's JVM in use
        python_peak_bytes bigint  Most memory that the driver's Python has had
    """),
    """
WITH batches AS (
  SELECT DATE_TRUNC('HOUR', b.began_at) AS hour, b.query, b.outcome = 'ok' AS is_ok,
    CASE WHEN b.outcome = 'ok' THEN b.seconds END AS seconds, b.rows_in, b.rows_out,
    b.rows_rejected, b.rows_duplicate, b.lag_seconds, b.backlog_files, b.backlog_bytes,
    b.backlog_rows, b.oldest_waiting_seconds, b.heap_used_bytes, b.python_peak_bytes
  FROM $batch_metrics AS b
)
SELECT hour, query, COUNT(seconds) AS batches, COUNT(*) - COUNT(seconds) AS failures,
  CAST(COUNT(*) - COUNT(seconds) AS DOUBLE) / COUNT(*) AS error_share,
  PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds_p50,
  PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY seconds) AS seconds_p95,
  CAST(SUM(CASE WHEN is_ok THEN rows_in END) AS BIGINT) AS rows_in,
  CAST(SUM(CASE WHEN is_ok THEN rows_out END) AS BIGINT) AS rows_out,
  CAST(SUM(CASE WHEN is_ok THEN rows_rejected END) AS BIGINT) AS rows_rejected,
  CAST(SUM(CASE WHEN is_ok THEN rows_duplicate END) AS BIGINT) AS rows_duplicate,
  SUM(CASE WHEN is_ok THEN rows_in END) / NULLIF(SUM(seconds), 0) AS rows_per_second,
  MAX(lag_seconds) AS lag_seconds, MAX(backlog_files) AS backlog_files, MAX(backlog_bytes) AS
  backlog_bytes, MAX(backlog_rows) AS backlog_rows, MAX(oldest_waiting_seconds) AS
  oldest_waiting_seconds, MAX(heap_used_bytes) AS heap_used_bytes, MAX(python_peak_bytes) AS
  python_peak_bytes
FROM batches GROUP BY hour, query
""",
)
