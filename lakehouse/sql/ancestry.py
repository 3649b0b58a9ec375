"""The query for all that something was made from, in Spark's SQL.

The graph is walked back along its edges. A table at a version then becomes the commits that it had
by then and whose rows are of the time that was read; predictions among them lead to versions, and
these to tables once more; from commits it goes on to files. Each of these steps begins with
distinct nodes, so that the number of ways through the graph does not count.

Features of earlier rows are gone back by once: those of the earlier rows tell nothing of a reading.
"""

from lakehouse.sql.lineage_views import FEATURES, PART

_NOT_WALKED = f"'{PART}', '{FEATURES}'"
_NO_PARTS = "gold.window_facts"
"""Its commits hold no rows of their own: they rest on predictions and labels."""


def ancestry_sql(
    kind: str, node: str, edges: str = "gold.lineage", commits: str = "gold.table_commit"
) -> str:
    """All ancestors of a node, and the node itself: `kind` and `id`, each once.

    Args:
        kind: of the node.
        node: its id.
        edges: where they are. Spark computes a view anew in each step of a recursion: give it the
            name of what `CACHE TABLE edges AS SELECT * FROM gold.lineage` has made.
        commits: where gold.table_commit is.
    """
    start = (
        f"SELECT '{_quoted(kind)}' AS kind, '{_quoted(node)}' AS id, "
        "CAST(NULL AS TIMESTAMP) AS rows_from, CAST(NULL AS TIMESTAMP) AS rows_to"
    )
    steps = [
        f"""reached (kind, id, rows_from, rows_to) AS (
  {start}
  UNION ALL
  SELECT e.from_kind, e.from_id, e.rows_from, e.rows_to
  FROM reached AS r JOIN {edges} AS e ON e.to_kind = r.kind AND e.to_id = r.id
  WHERE e.relation NOT IN ({_NOT_WALKED})
)""",
        _parts("read_first", "reached", commits),
        _sources("scored", "read_first", edges),
        _sources("runs", "scored", edges),
        _sources("trained_on", "runs", edges),
        _union("read_by_models", ("scored", "trained_on")),
        _parts("read_then", "read_by_models", commits),
        _union("parts", ("read_first", "read_then")),
        _union("known", ("parts", "reached")),
        _sources("seen", "known", edges, f"= '{FEATURES}'"),
        _parts("seen_parts", "seen", commits),
        _union("held", ("parts", "seen_parts")),
        _sources("lines", "held", edges),
        _sources("files", "lines", edges),
    ]
    found = " UNION ALL ".join(
        f"SELECT kind, id FROM {name}"
        for name in ("reached", "scored", "runs", "trained_on", "seen", "held", "lines", "files")
    )
    return f"WITH RECURSIVE {', '.join(steps)}\nSELECT DISTINCT kind, id FROM ({found}) AS found"


def _sources(name: str, of: str, edges: str, relation: str = f"NOT IN ({_NOT_WALKED})") -> str:
    """What the nodes of a step were made from."""
    return f"""
{name} AS (
  SELECT DISTINCT e.from_kind AS kind, e.from_id AS id, e.rows_from, e.rows_to
  FROM {of} AS r JOIN {edges} AS e ON e.to_kind = r.kind AND e.to_id = r.id
  WHERE e.relation {relation}
)"""


def _union(name: str, parts: tuple[str, str]) -> str:
    return f"""
{name} AS (SELECT * FROM {parts[0]} UNION SELECT * FROM {parts[1]})"""


def _parts(name: str, of: str, commits: str) -> str:
    """The commits that tables had at the versions that were reached, with rows of that time.

    Statistics cut times to milliseconds, hence the second of slack.
    """
    return f"""
{name} AS (
  SELECT DISTINCT 'commit' AS kind, CONCAT(c.table_name, '#', CAST(c.version AS STRING)) AS id,
    CAST(NULL AS TIMESTAMP) AS rows_from, CAST(NULL AS TIMESTAMP) AS rows_to
  FROM (
    SELECT SPLIT_PART(id, '@', 1) AS table_name, MAX(CAST(SPLIT_PART(id, '@', 2) AS BIGINT)) AS
      version, rows_from, rows_to
    FROM {of} WHERE kind = 'table' GROUP BY SPLIT_PART(id, '@', 1), rows_from, rows_to
  ) AS t JOIN {commits} AS c ON c.table_name = t.table_name AND c.version <= t.version
  WHERE c.rows > 0 AND c.table_name <> '{_NO_PARTS}'
    AND (t.rows_from IS NULL OR c.last_time IS NULL
      OR c.last_time + INTERVAL '1' SECOND >= t.rows_from)
    AND (t.rows_to IS NULL OR c.first_time IS NULL OR c.first_time <= t.rows_to)
)"""


def _quoted(text: str) -> str:
    return text.replace("'", "''")
