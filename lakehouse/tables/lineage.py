"""Gold: which Delta version a step made, and of what; Delta's own log is kept for a month."""

from lakehouse.tables.declaration import Table, columns
from lakehouse.tables.retention import NAMED_BY_NOBODY

TABLE_COMMIT = Table(
    "gold",
    "table_commit",
    "A Delta version of a table on the way of the data: which step made it, and what it added",
    ("table_name", "version"),
    columns("""
        table_name  string             Table, as SQL users write it
        version     bigint             Delta version that the commit made
        at          timestamp          Wall-clock time of the commit, by the log
        operation   string             WRITE, or what else the log says, such as OPTIMIZE
        query_id    string             Stream whose micro-batch wrote it; NULL where none did
        batch_id    bigint             Micro-batch of that stream
        step        string             Source and run within that batch; NULL where it has none
        rows        bigint             Rows added; 0 where files were only rewritten
        first_file  bigint             Least landed_file_id of its rows; NULL where the log tells
            none
        last_file   bigint             Greatest one
        first_time  timestamp          Least event time of its rows, of labels the least label time;
            cut to milliseconds
        last_time   timestamp          Greatest one
        files       map<string,string> SHA-256 of each data file that it added, by path; NULL of one
            that was gone
        why         string             What a rewrite of partitions was for; NULL where none is said
        recorded_at timestamp          Wall-clock time
    """),
    from_driver=True,
    retention=NAMED_BY_NOBODY,
)
