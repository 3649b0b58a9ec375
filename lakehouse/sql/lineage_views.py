"""Where things come from: every edge of the graph.

An id says what it is of: `file/17`, `silver.sensor_reading#80` (what the commit of version 80
added), `silver.sensor_reading@80` (the table as it was at that version), `run/5f2c…`, `model/6`,
`window/1 day/2019-07-19`, `windows/1 day/2019-07-19..2019-08-03`, `decision/2019-08-05/retrain`,
`promotion/2019-08-05/promote/6`, `alert/1f…`.
"""

from lakehouse.history.reach import longest
from lakehouse.settings import ModelSettings
from lakehouse.sql.loop_views import JUDGED
from lakehouse.tables import Catalog
from lakehouse.tables.declaration import View, columns

PART = "newest part of"
"""Relation of a commit to the table as it was after it; older commits are parts of it, too."""
HELD_BY_LATER = "readings of"
"""Relation of a version of the readings to predictions: any later version has these rows, too."""
FEATURES = "features of"
"""Relation of a table, as it was before, to readings whose features were computed from its rows."""
_NO_SPAN = "CAST(NULL AS TIMESTAMP) AS rows_from, CAST(NULL AS TIMESTAMP) AS rows_to"


def moment_id(time: str) -> str:
    """SQL of a time as ids have it: a midnight is its date, others go on to the microsecond."""
    day = f"DATE_FORMAT({time}, 'yyyy-MM-dd')"
    fraction = f"DATE_FORMAT({time}, 'SSSSSS')"
    clock = f"DATE_FORMAT({time}, 'HH:mm:ss')"
    return (
        f"CASE WHEN {clock} = '00:00:00' AND {fraction} = '000000' THEN {day} "
        f"WHEN {fraction} = '000000' THEN CONCAT({day}, 'T', {clock}) "
        f"ELSE CONCAT({day}, 'T', {clock}, '.', {fraction}) END"
    )


def decision_id(row: str) -> str:
    """SQL of a decision's id, of the row of that alias."""
    return f"CONCAT('decision/', {moment_id(f'{row}.as_of')}, '/', {row}.action)"


def windows_id(row: str) -> str:
    """SQL of the id of the windows that a decision read, of the row of that alias."""
    first = f"COALESCE({moment_id(f'{row}.read_from')}, 'first')"
    return f"CONCAT('windows/$day/', {first}, '..', {moment_id(f'{row}.as_of')})"


def table_id(name: str, versions: str) -> str:
    """SQL of the id of a table at the version that a map of versions has."""
    return f"CONCAT('{name}@', CAST({versions}['{name}'] AS STRING))"


def _map(**values: str) -> str:
    pairs = ", ".join(f"'{name}', {value}" for name, value in values.items())
    return f"MAP({pairs}) AS details"


VERDICTS = f"""
verdicts AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of, is_answer ORDER BY recorded_at) AS place
  FROM ({JUDGED.format(promotion="$promotion")}) AS j
),
asked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of ORDER BY decided_at) AS place
  FROM $decision WHERE retrain
),
named AS (
  SELECT *, CONCAT('promotion/', {moment_id("as_of")}, '/', action,
    COALESCE(CONCAT('/', to_version), ''), CASE WHEN same = 1 THEN '' ELSE
    CONCAT('/', CAST(same AS STRING)) END) AS promotion_id
  FROM (SELECT *, ROW_NUMBER() OVER (
    PARTITION BY as_of, action, to_version ORDER BY recorded_at) AS same FROM $promotion) AS n
)"""

MOVES = """
moves AS (
  SELECT *, LEAD(as_of) OVER (ORDER BY recorded_at) AS next_as_of
  FROM named WHERE action IN ('promote', 'rollback')
)"""

_TRAINED = """
trained AS (
  SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY to_version ORDER BY recorded_at) AS first
    FROM $promotion WHERE run_id IS NOT NULL AND to_version IS NOT NULL) AS t WHERE first = 1
)"""

_WINDOWS = f"""
windows AS (
  SELECT p.$id AS model_version, CONCAT('window/', p.granularity, '/',
    {moment_id("p.window.start")}) AS window_id, p.window.start AS window_start,
    p.window.`end` AS window_end, p.count AS n, p.n_labelled,
    CAST(ROUND(p.accuracy_score, 4) AS STRING) AS accuracy, p.as_of, p.as_of_version
  FROM $profile_metrics AS p
  WHERE p.log_type = 'INPUT' AND p.column_name = ':table' AND p.slice_key IS NULL
)"""


def _edge(source: str, target: str, relation: str, rest: str) -> str:
    """A SELECT of edges; source and target are a kind and SQL of an id."""
    (from_kind, from_id), (to_kind, to_id) = source.split("|"), target.split("|")
    return (
        f"SELECT '{from_kind}' AS from_kind, {from_id} AS from_id, '{to_kind}' AS to_kind, "
        f"{to_id} AS to_id, '{relation}' AS relation, {rest}"
    )


_FILES = _edge(
    "file|CONCAT('file/', CAST(f.landed_file_id AS STRING))",
    "commit|CONCAT(c.table_name, '#', CAST(c.version AS STRING))",
    "taken in by",
    f"""c.at, f.lines AS rows, {_NO_SPAN},
  {_map(source_file="f.source_file", sha256="f.sha256")}
FROM $landed_file AS f JOIN $table_commit AS c ON c.table_name = CONCAT('bronze.', f.source)
  AND f.landed_file_id >= c.first_file AND f.landed_file_id <= c.last_file
WHERE f.status = 'landed' AND c.rows > 0""",
)
_PLACED = _edge(
    "commit|CONCAT(b.table_name, '#', CAST(b.version AS STRING))",
    "commit|CONCAT(s.table_name, '#', CAST(s.version AS STRING))",
    "lines of",
    f"""s.at, s.rows, s.first_time AS rows_from, s.last_time AS rows_to,
  {_map(query_id="s.query_id", batch_id="CAST(s.batch_id AS STRING)")}
FROM $table_commit AS b JOIN $table_commit AS s ON s.query_id = b.query_id
  AND s.batch_id = b.batch_id AND s.step = b.step
WHERE b.table_name IN ($bronze) AND s.table_name NOT IN ($bronze)""",
)


def history_edges(model: ModelSettings, catalog: Catalog) -> str:
    """SQL of the edges from tables to readings that have features of their rows.

    A reading sees rows of earlier files, which were committed before it. So there is one edge for
    each commit of readings and each table, however many commits that table has in the span.

    Returns:
        To be put behind other edges; nothing for a model without such features.
    """
    tables = zip((None, *model.history.tables), (catalog.readings, *catalog.history), strict=True)
    spans = {table: longest(model.history, name) for name, table in tables}
    readings = catalog.readings.full_name
    edges = (
        _edge(
            f"table|CONCAT('{table.full_name}@', CAST(r.version_before AS STRING))",
            f"commit|CONCAT('{readings}#', CAST(r.version AS STRING))",
            FEATURES,
            f"""r.at, r.rows, r.first_time - INTERVAL '{int(span.total_seconds()) + 1}' SECOND
  AS rows_from, r.last_time AS rows_to, {_map(operation="r.operation")}
FROM (
  SELECT *, MAX(CASE WHEN table_name = '{table.full_name}' THEN version END) OVER (
    ORDER BY at, CASE WHEN table_name = '{readings}' THEN 1 ELSE 0 END, version
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS version_before
  FROM {catalog.table_commit.full_name}
  WHERE table_name IN ('{table.full_name}', '{readings}') AND rows > 0
) AS r WHERE r.table_name = '{readings}' AND r.version_before IS NOT NULL""",
        )
        for table, span in spans.items()
        if span is not None
    )
    return "".join(f"\nUNION ALL\n{edge}" for edge in edges)


_IN_COMMIT = _edge(
    "commit|CONCAT(c.table_name, '#', CAST(c.version AS STRING))",
    "table|CONCAT(c.table_name, '@', CAST(c.version AS STRING))",
    PART,
    f"""c.at, c.rows, c.first_time AS rows_from, c.last_time AS rows_to,
  {_map(operation="c.operation")}
FROM $table_commit AS c""",
)
_FROM_SCORING = """
FROM $scoring_ledger AS l JOIN $table_commit AS c ON c.table_name = '$predictions'
  AND c.query_id = l.query_id AND c.batch_id = l.batch_id"""
_PREDICTIONS = "commit|CONCAT('$predictions#', CAST(c.version AS STRING))"
_SCORED_BY = _edge(
    "model|CONCAT('model/', l.model_version)",
    _PREDICTIONS,
    "scored",
    f"""c.at, c.rows, c.first_time AS rows_from, c.last_time AS rows_to,
  {_map(query_id="l.query_id", batch_id="CAST(l.batch_id AS STRING)")}{_FROM_SCORING}""",
)
_ROLLED_OUT_ON = _edge(
    "model|CONCAT('model/', l.challenger_version)",
    _PREDICTIONS,
    "rolled out on",
    f"""c.at, c.rows, c.first_time AS rows_from, c.last_time AS rows_to,
  {_map(query_id="l.query_id", batch_id="CAST(l.batch_id AS STRING)")}{_FROM_SCORING}
WHERE l.challenger_version IS NOT NULL""",
)
_SCORED_FROM = _edge(
    f"table|{table_id('$readings', 'l.table_versions')}",
    _PREDICTIONS,
    HELD_BY_LATER,
    f"""c.at, c.rows, c.first_time AS rows_from, c.last_time AS rows_to,
  {_map(query_id="l.query_id", batch_id="CAST(l.batch_id AS STRING)")}{_FROM_SCORING}
WHERE l.table_versions['$readings'] IS NOT NULL""",
)
_WHY = "ARRAY_JOIN(d.reasons, '; ')"
_RUN = "run|CONCAT('run/', t.run_id)"
_TRAINED_ON = _edge(
    f"table|{table_id('$readings', 't.table_versions')}",
    _RUN,
    "trained on",
    f"""t.recorded_at AS at, t.trained_rows AS rows, t.trained_from AS rows_from,
  t.trained_to AS rows_to, {_map(as_of=moment_id("t.as_of"))}
FROM trained AS t WHERE t.table_versions['$readings'] IS NOT NULL""",
)
_TRAINED_BY = _edge(
    f"table|{table_id('$labels', 't.table_versions')}",
    _RUN,
    "labelled by",
    f"""t.recorded_at AS at, t.trained_rows AS rows, t.trained_from AS rows_from,
  t.as_of AS rows_to, {_map(as_of=moment_id("t.as_of"))}
FROM trained AS t WHERE t.table_versions['$labels'] IS NOT NULL""",
)
_REGISTERED = _edge(
    _RUN,
    "model|CONCAT('model/', t.to_version)",
    "fitted",
    f"""t.recorded_at AS at, t.trained_rows AS rows, t.trained_from AS rows_from,
  t.trained_to AS rows_to, {_map(sha256="t.model_sha256")}
FROM trained AS t""",
)
_OF_WINDOW = "w.window_start AS rows_from, w.window_end AS rows_to"
_PREDICTED_IN = _edge(
    "model|CONCAT('model/', w.model_version)",
    "window|w.window_id",
    "predicted in",
    f"""w.as_of AS at, w.n AS rows, {_OF_WINDOW},
  {_map(labelled="CAST(w.n_labelled AS STRING)")}
FROM windows AS w WHERE w.model_version <> '*'""",
)
_MEASURED_FROM = _edge(
    f"table|{table_id('$predictions', 'w.as_of_version')}",
    "window|w.window_id",
    "predictions of",
    f"""w.as_of AS at, w.n AS rows, {_OF_WINDOW},
  {_map(accuracy="w.accuracy", labelled="CAST(w.n_labelled AS STRING)")}
FROM windows AS w WHERE w.model_version = '*' AND w.as_of_version['$predictions'] IS NOT NULL""",
)
_MEASURED_BY = _edge(
    f"table|{table_id('$labels', 'w.as_of_version')}",
    "window|w.window_id",
    "labels of",
    f"""w.as_of AS at, w.n_labelled AS rows, w.window_start AS rows_from, w.as_of AS rows_to,
  {_map(labelled="CAST(w.n_labelled AS STRING)")}
FROM windows AS w WHERE w.model_version = '*' AND w.as_of_version['$labels'] IS NOT NULL""",
)


def _of_decision(kind: str, source: str, relation: str, where: str) -> str:
    """Edges from what a decision read to the windows that it read."""
    return _edge(
        f"{kind}|{source}",
        f"windows|{windows_id('d')}",
        relation,
        f"""d.decided_at AS at, CAST(NULL AS BIGINT) AS rows, d.read_from AS rows_from,
  d.as_of AS rows_to, {_map(champion="d.model_version")}
FROM $decision AS d {where}""",
    )


def _read_by_decision(name: str) -> str:
    version = f"d.table_versions['{name}']"
    return _of_decision(
        "table",
        table_id(name, "d.table_versions"),
        "read for",
        f"WHERE d.model_version IS NOT NULL AND {version} IS NOT NULL",
    )


_DECIDED_ON = _edge(
    f"windows|{windows_id('d')}",
    f"decision|{decision_id('d')}",
    "evidence of",
    f"""d.decided_at AS at, CAST(NULL AS BIGINT) AS rows,
  d.read_from AS rows_from, d.as_of AS rows_to, {_map(rule="d.rule", why=_WHY)}
FROM $decision AS d WHERE d.model_version IS NOT NULL""",
)
_DECIDED_FIRST = _edge(
    f"table|{table_id('$labels', 'd.table_versions')}",
    f"decision|{decision_id('d')}",
    "labelled by",
    f"""d.decided_at AS at, CAST(NULL AS BIGINT) AS rows, CAST(NULL AS TIMESTAMP) AS rows_from,
  d.as_of AS rows_to, {_map(rule="d.rule", why=_WHY)}
FROM $decision AS d WHERE d.model_version IS NULL AND d.table_versions['$labels'] IS NOT NULL""",
)
_REIGNED = _of_decision(
    "model",
    "CONCAT('model/', m.to_version)",
    "predicted in",
    """JOIN moves AS m ON m.as_of < d.as_of
  AND (m.next_as_of IS NULL OR d.read_from IS NULL OR m.next_as_of > d.read_from)
WHERE d.model_version IS NOT NULL""",
)
_ASKED = _edge(
    f"decision|{decision_id('d')}",
    "promotion|n.promotion_id",
    "answered by",
    f"""n.recorded_at AS at, CAST(n.evidence['rows'] AS BIGINT) AS rows, {_NO_SPAN},
  {_map(rule="d.rule")}
FROM verdicts AS v JOIN asked AS d ON d.as_of = v.as_of AND d.place = v.place
JOIN named AS n ON n.recorded_at = v.recorded_at AND n.as_of = v.as_of AND n.action = v.action
WHERE NOT v.is_answer""",
)
_APPROVED = _edge(
    "promotion|w.promotion_id",
    "promotion|n.promotion_id",
    "waited for",
    f"""n.recorded_at AS at, CAST(NULL AS BIGINT) AS rows, {_NO_SPAN}, {_map(who="n.who")}
FROM verdicts AS v JOIN named AS n ON n.recorded_at = v.recorded_at AND n.as_of = v.as_of
  AND n.action = v.action
JOIN named AS w ON w.action IN ('pending', 'rollout') AND w.as_of = v.as_of
  AND w.to_version = v.to_version AND w.recorded_at < v.recorded_at
WHERE v.is_answer""",
)


def _judged(version: str, relation: str) -> str:
    return _edge(
        f"model|CONCAT('model/', n.{version})",
        "promotion|n.promotion_id",
        relation,
        f"""n.recorded_at AS at, CAST(n.evidence['rows'] AS BIGINT) AS rows, {_NO_SPAN},
  {_map(who="n.who", why="n.reason")}
FROM named AS n WHERE n.{version} IS NOT NULL""",
    )


_ALERT = "alert|CONCAT('alert/', a.event_id)"
_OF_ALERT = f"a.recorded_at AS at, CAST(NULL AS BIGINT) AS rows, {_NO_SPAN}"
_ALERTED_BY = _edge(
    "window|w.window_id",
    _ALERT,
    "raised",
    f"""{_OF_ALERT}, {_map(rule="a.rule", kind="a.kind")}
FROM $alert_event AS a JOIN windows AS w ON w.window_start = a.window_start
  AND w.window_end = a.window_end AND w.model_version = '*'""",
)
_ALERT_READ = _edge(
    "table|CONCAT(a.name, '@', CAST(a.table_versions[a.name] AS STRING))",
    _ALERT,
    "read for",
    f"""{_OF_ALERT}, {_map(rule="a.rule", kind="a.kind")}
FROM (SELECT *, EXPLODE(MAP_KEYS(table_versions)) AS name FROM $alert_event) AS a""",
)
_ALERT_OF = _edge(
    "promotion|m.promotion_id",
    _ALERT,
    "in production at",
    f"""{_OF_ALERT}, {_map(rule="a.rule", kind="a.kind")}
FROM $alert_event AS a JOIN moves AS m ON m.as_of <= a.as_of
  AND (m.next_as_of IS NULL OR m.next_as_of > a.as_of)""",
)

_ALL = (
    *(_FILES, _PLACED, _IN_COMMIT, _SCORED_BY, _ROLLED_OUT_ON, _SCORED_FROM),
    *(_TRAINED_ON, _TRAINED_BY, _REGISTERED, _PREDICTED_IN, _MEASURED_FROM, _MEASURED_BY),
    *map(_read_by_decision, ("$window_facts", "$predictions", "$labels")),
    *(_REIGNED, _DECIDED_ON, _DECIDED_FIRST, _ASKED, _APPROVED),
    *(_judged("to_version", "judged in"), _judged("from_version", "compared in")),
    *(_ALERTED_BY, _ALERT_READ, _ALERT_OF),
)

LINEAGE = View(
    "lineage",
    "An edge: what something was made from",
    columns("""
        from_kind string             file, commit (what a version of a table added), table (as it
            was at a version), run, model, window, windows, decision, promotion or alert
        from_id   string             Which one; it names its kind
        to_kind   string             Kind of what was made from it
        to_id     string             Which one
        relation  string             What the one is to the other
        at        timestamp          Wall-clock time of the making; of windows, the newest label
            time known
        rows      bigint             Rows that it rests on; NULL where that is not counted
        rows_from timestamp          Event time of the first of them; NULL where they are not
            bounded
        rows_to   timestamp          Event time of the last one; of labels, their label time
        details   map<string,string> What else is told of it: digest, batch, rule
    """),
    f"WITH {','.join((VERDICTS, MOVES, _TRAINED, _WINDOWS)).lstrip()}\n"
    + "\nUNION ALL\n".join(_ALL)
    + "$history_edges",
)
