"""Why a version is in production: a flat row for each verdict and rollback."""

from functools import partial

from lakehouse.sql.lineage_views import MOVES, VERDICTS, decision_id, table_id, windows_id
from lakehouse.tables import PROMOTION
from lakehouse.tables.declaration import View, columns

_columns = partial(columns, declared=PROMOTION.columns)

PROVENANCE = View(
    "promotion_provenance",
    "A verdict or a rollback with where its version comes from: why it is in production, or is not",
    _columns("""
        promotion_id     string    Its id in gold.lineage
        as_of, action, who, recorded_at, from_version, to_version, reason
        is_champion      boolean   Whether the version is in production by this row
        decision_id      string    Decision that asked for the training; NULL of rollbacks
        decision_rule    string    Its rule
        decision_reason  string    It in words
        windows_id       string    Windows that it read
        facts_id         string    Version of gold.window_facts that it read them from
        rows_compared    bigint    Rows that the gate compared on
        probability_better double  Probability that the challenger is the better one
        run_id, model_sha256, trained_from, trained_to, trained_rows
        readings_id      string    Readings that it was trained on, at their version
        labels_id        string    Labels, at theirs
        files            bigint    Landed files of these readings; NULL where no commit is on record
        first_file       bigint    Least landed_file_id of them
        last_file        bigint    Greatest one
        file_lines       bigint    Lines of these files
        commits          bigint    Commits of the readings that they came in
    """),
    f"""WITH {",".join((VERDICTS, MOVES)).lstrip()},
sources AS (
  SELECT n.promotion_id, f.landed_file_id, MAX(f.lines) AS lines, COUNT(s.version) AS commits
  FROM named AS n JOIN $table_commit AS s ON s.table_name = '$readings'
    AND s.version <= n.table_versions['$readings']
    AND s.last_time + INTERVAL '1' SECOND >= n.trained_from AND s.first_time <= n.trained_to
  JOIN $table_commit AS b ON b.table_name = '$bronze_readings' AND b.query_id = s.query_id
    AND b.batch_id = s.batch_id AND b.step = s.step
  JOIN $landed_file AS f ON f.source = '$source' AND f.status = 'landed'
    AND f.landed_file_id >= b.first_file AND f.landed_file_id <= b.last_file
  GROUP BY n.promotion_id, f.landed_file_id
),
summed AS (
  SELECT promotion_id, COUNT(*) AS files, MIN(landed_file_id) AS first_file,
    MAX(landed_file_id) AS last_file, CAST(SUM(lines) AS BIGINT) AS file_lines,
    CAST(SUM(commits) AS BIGINT) AS commits
  FROM sources GROUP BY promotion_id
),
answered AS (
  SELECT n.promotion_id, d.rule, d.reasons,
    {decision_id("d")} AS decision_id, CASE WHEN d.model_version IS NOT NULL THEN
    {windows_id("d")} END AS windows_id, CASE WHEN d.model_version IS NOT NULL THEN
    {table_id("$window_facts", "d.table_versions")} END AS facts_id
  FROM named AS n JOIN verdicts AS v ON v.recorded_at = n.recorded_at AND v.as_of = n.as_of
    AND v.action = n.action
  LEFT JOIN verdicts AS w ON v.is_answer AND NOT w.is_answer AND w.as_of = v.as_of
    AND w.to_version = v.to_version
  JOIN asked AS d ON d.as_of = v.as_of AND d.place = COALESCE(w.place, v.place)
)
SELECT n.promotion_id, n.as_of, n.action, n.who, n.recorded_at, n.from_version, n.to_version,
  n.reason, m.promotion_id IS NOT NULL AND m.next_as_of IS NULL AS is_champion, a.decision_id,
  a.rule AS decision_rule, ARRAY_JOIN(a.reasons, '; ') AS decision_reason,
  a.windows_id, a.facts_id,
  CAST(n.evidence['rows'] AS BIGINT) AS rows_compared,
  n.evidence['probability_better'] AS probability_better, n.run_id, n.model_sha256,
  n.trained_from, n.trained_to, n.trained_rows,
  {table_id("$readings", "n.table_versions")} AS readings_id,
  {table_id("$labels", "n.table_versions")} AS labels_id, s.files, s.first_file,
  s.last_file, s.file_lines, s.commits
FROM named AS n LEFT JOIN moves AS m ON m.promotion_id = n.promotion_id
LEFT JOIN answered AS a ON a.promotion_id = n.promotion_id
LEFT JOIN summed AS s ON s.promotion_id = n.promotion_id""",
)
