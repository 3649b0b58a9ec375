"""Gold: what jobs and their micro-batches did, how long it took, and what still waits."""

from functools import partial

from lakehouse.tables.declaration import Table, columns
from lakehouse.tables.retention import NAMED_BY_NOBODY

# Columns that both tables have.
_SHARED = columns("""
    run_id        string    Names the process that ran the job
    began_at      timestamp Wall-clock time
    seconds       double    Wall-clock time that it took
    phase_seconds map<string,double> The same by phase
    error_class   string    Class of the error that ended it; NULL where there was none
    host          string    Machine
    release       string    Release of the lakehouse's code
    recorded_at   timestamp Wall-clock time of the commit
""")
_columns = partial(columns, declared=_SHARED)

BATCH_METRICS = Table(
    "gold",
    "batch_metrics",
    "An attempt at a micro-batch of a streaming query, or at a step that works in batches; one "
    "that ended well is the only such row of its batch",
    ("query_id", "batch_id", "run_id", "began_at"),
    _columns("""
        query           string    Name of the query or step
        query_id        string    Its stream's id, renewed with a checkpoint; run_id where it has
            no stream
        batch_id        bigint    Micro-batch of that stream
        run_id
        outcome         string    ok or failed
        error_class, began_at, seconds
        phase_seconds   map<string,double> The same by phase: Spark's durations (addBatch is the
            work itself), as a rule
        rows_in         bigint    Rows read; of ingest, lines of landed files
        rows_out        bigint    Rows written to the query's main table; NULL where not counted
        rows_rejected   bigint    Rows turned away with reasons
        rows_duplicate  bigint    Rows that said again what was known
        files_in        bigint    Files read; of ingest, landed files
        bytes_in        bigint    Their bytes
        lag_seconds     double    Age at the end of the oldest row read, since its commit to the
            source
        source_versions map<string,bigint> First Delta version of each source that was not read yet
        backlog_files   bigint    Files of the sources that waited when the row was written; of
            ingest, landed files
        backlog_bytes   bigint    Their bytes
        backlog_rows    bigint    Their rows; NULL where files do not tell
        oldest_waiting_seconds double Age of the oldest of them; NULL where none waited
        heap_used_bytes bigint    Heap of Spark's JVM in use at the end of the work
        heap_max_bytes  bigint    The most that it may take
        python_peak_bytes bigint  Most memory that the driver's Python has had so far
        application     string    Spark's application id
        host, release, recorded_at
    """),
    from_driver=True,
    retention=NAMED_BY_NOBODY,
    sought_by=("recorded_at", "query"),
)
JOB_RUN = Table(
    "gold",
    "job_run",
    "A run of a job; of one that goes on, a pass that did something, or the first idle one of an "
    "hour",
    ("run_id", "pass"),
    _columns("""
        run_id
        pass        bigint    Number of the pass, from 1; a job that ends has one
        job         string    Name of the job
        began_at
        ended_at    timestamp Wall-clock time; NULL where the process was killed
        outcome     string    ok, failed (nobody had foreseen it), refused (a person can act on
            it), locked (another process was doing its work), interrupted, or killed (it began and
            never ended)
        exit_code   int       Exit code of the process; NULL of a pass after which it went on
        error_class
        error       string    The error in a sentence, secrets left out
        seconds, phase_seconds
        batches     bigint    Rows of gold.batch_metrics that it wrote
        host, release, recorded_at
    """),
    from_driver=True,
    retention=NAMED_BY_NOBODY,
    sought_by=("recorded_at", "job"),
)
