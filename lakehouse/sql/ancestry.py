"""The query for all that something was made from, in Spark's SQL.

A graph of lineage is walked back in three stretches. Between them a table at a version becomes the
commits that it had by then and whose rows are of the time that was read. Each stretch begins with
distinct nodes, so that the number of ways through the graph does not count.
"""

from lakehouse.sql.lineage_views import PART

_NO_PARTS = "gold.window_facts"
"""Its commits hold no rows of their own: they rest on predictions and labels."""


def ancestry_sql(kind: str, node: str) -> str:
    """All ancestors of a node, and the node itself: `kind` and `id`, each once."""
    start = (
        f"SELECT '{_quoted(kind)}' AS kind, '{_quoted(node)}' AS id, "
        "CAST(NULL AS TIMESTAMP) AS rows_from, CAST(NULL AS TIMESTAMP) AS rows_to"
    )
    parts = ",\n".join(
        [
            _walk("reached", start),
            _parts("read_at_first", "reached"),
            _walk("made_by", "SELECT DISTINCT * FROM read_at_first"),
            _parts("read_then", "made_by"),
            _walk("landed", "SELECT DISTINCT * FROM read_then"),
        ]
    )
    found = " UNION ALL ".join(
        f"SELECT kind, id FROM {name}" for name in ("reached", "made_by", "landed")
    )
    return f"WITH RECURSIVE {parts}\nSELECT DISTINCT kind, id FROM ({found}) AS found"


def _walk(name: str, start: str) -> str:
    """Back along the edges; a table at a version is not taken apart."""
    return f"""{name} (kind, id, rows_from, rows_to) AS (
  {start}
  UNION ALL
  SELECT e.from_kind, e.from_id, e.rows_from, e.rows_to
  FROM {name} AS r JOIN gold.lineage AS e ON e.to_kind = r.kind AND e.to_id = r.id
  WHERE e.relation <> '{PART}'
)"""


def _parts(name: str, of: str) -> str:
    """The commits that tables had at the versions that were reached, with rows of that time.

    Statistics cut times to milliseconds, hence the second of slack.
    """
    return f"""{name} AS (
  SELECT 'commit' AS kind, CONCAT(c.table_name, '#', CAST(c.version AS STRING)) AS id,
    CAST(NULL AS TIMESTAMP) AS rows_from, CAST(NULL AS TIMESTAMP) AS rows_to
  FROM (
    SELECT SPLIT_PART(id, '@', 1) AS table_name, MAX(CAST(SPLIT_PART(id, '@', 2) AS BIGINT)) AS
      version, rows_from, rows_to
    FROM {of} WHERE kind = 'table' GROUP BY SPLIT_PART(id, '@', 1), rows_from, rows_to
  ) AS t JOIN gold.table_commit AS c ON c.table_name = t.table_name AND c.version <= t.version
  WHERE c.rows > 0 AND c.table_name <> '{_NO_PARTS}'
    AND (t.rows_from IS NULL OR c.last_time IS NULL
      OR c.last_time + INTERVAL '1' SECOND >= t.rows_from)
    AND (t.rows_to IS NULL OR c.first_time IS NULL OR c.first_time <= t.rows_to)
)"""


def _quoted(text: str) -> str:
    return text.replace("'", "''")
