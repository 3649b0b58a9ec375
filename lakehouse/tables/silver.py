"""Bronze and silver: the tables that a model names, and the engine's own beside them."""

from functools import partial

from lakehouse.settings import ModelSettings, SourceSettings
from lakehouse.tables.declaration import SQL_TYPES, Column, Table, columns

IS_CORRECTION = "is_correction"
# Columns that more than one of the tables has.
_SHARED = columns("""
    source         string Table that the line was meant for
    source_file    string File that the line came in, by its path under the landing folder
    line           bigint Its number in that file, from 0
    landed_at      timestamp When the file landed
    ingest_batch   bigint Micro-batch of the ingest stream
    ingested_at    timestamp Wall-clock time of that batch
    landed_file_id bigint Its row in bronze.landed_file: a name may come more than once
    raw_bytes      binary Its bytes, where they are not UTF-8; NULL where raw is all of it
    reasons        array<string> Every rule that it breaks
    key            string Its key
    query_id       string Scoring stream's id
    batch_id       bigint Micro-batch of that stream
""")
_columns = partial(columns, declared=_SHARED)

_POSITION = _columns("""
    source_file, line, landed_file_id
""")

# What a line carries beside its values on the way from bronze to silver (ingest/lines.py).
WHILE_INGESTED = columns("""
    reasons     array<string> Every rule that it breaks
    disposition string        What becomes of it
    held        boolean       Whether silver holds it
    rank        int           Its place among the lines of its key
    first       string        The first line of its key
""")

LANDED_FILE = Table(
    "bronze",
    "landed_file",
    "A look at a landed file that told something new: that it is to be read, why it cannot be, "
    "that it is gone",
    ("source_file", "seen_at"),
    columns("""
        source         string             Table that its lines are meant for
        source_file    string             Its path under the landing folder
        landed_file_id bigint             Names this coming of the file; lines carry it. NULL where
            none is read
        status         string             landed: its lines are read; unreadable; same: touched or
            moved, its content is known; gone: it was unreadable, and is not there any more
        reason         string             Why it cannot be read, or what is odd about it
        lines          bigint             Lines that it has
        size           bigint             Bytes of the file
        sha256         string             Digest of these bytes
        modified_at    timestamp          Its modification time
        landed_at      timestamp          The same; where that cannot be, when it was first seen
        signature      string             What its file system tells of it; another one is looked
            into
        parts          array<struct<start:bigint,end:bigint,first_line:bigint,lines:bigint>> What
            it is read in: bytes of its content, and lines
        seen_at        timestamp          Wall-clock time of the look
    """),
    from_driver=True,
)
KEPT_ROW = Table(
    "bronze",
    "kept_row",
    "A row of a record that nothing can be made from again, kept a second time for the case that "
    "silver or gold is lost",
    ("table_id", "version", "place"),
    columns("""
        table_name  string    Table that the row stands in, as SQL users write it
        table_id    string    Delta's id of it: one that is made anew has another
        version     bigint    Delta version of that table that it was read from
        place       bigint    Its place among the rows that were read there, from 0
        content     string    The row as JSON: its columns by name
        recorded_at timestamp Wall-clock time
    """),
    from_driver=True,
)
QUARANTINE = Table(
    "silver",
    "quarantine",
    "A rejected line, with every reason that applies",
    ("source", "landed_file_id", "line"),
    _columns("""
        source
        raw string The line as it came; bytes that are not UTF-8 are escapes
        reasons, source_file, line, landed_at, ingest_batch, ingested_at, landed_file_id, raw_bytes
    """),
    version=2,
)
DUPLICATE = Table(
    "silver",
    "duplicate",
    "A line that says again what silver already holds, value for value",
    ("source", "landed_file_id", "line"),
    _columns("""
        source, key, source_file, line, landed_at, ingest_batch, ingested_at, landed_file_id
    """),
    version=2,
)
SCORING_LEDGER = Table(
    "silver",
    "scoring_ledger",
    "A micro-batch of scoring, written before a row of it is scored",
    ("query_id", "batch_id"),
    _columns("""
        query_id, batch_id
        model_version string    Registered version that the alias named when the batch was first
            tried
        resolved_at   timestamp Wall-clock time of that look-up
        table_versions map<string,bigint> Delta versions that hold all rows of the batch; NULL in
            rows before 0.3
        challenger_version string Version that is rolled out, and scores the rows, too; NULL where
            no rollout runs
        challenger_share double Share of the keys that it answers
        rollout_id string Rollout that runs
    """),
    from_driver=True,
    version=3,
)
SCORING_COST = Table(
    "silver",
    "scoring_cost",
    "What a micro-batch of scoring cost, written after its rows",
    ("query_id", "batch_id"),
    _columns("""
        query_id, batch_id
        model_version string    Registered version that scored it
        rows          bigint    Rows scored
        seconds       double    Wall-clock time from the batch's first step to its rows' commit
        recorded_at   timestamp Wall-clock time
        rollout_id    string    Rollout that ran; NULL where none did, as are the columns after it
        challenger_rows bigint  Rows that the challenger was asked for
        challenger_errors bigint Rows that it gave no finite answer for
        challenger_disagreements bigint Rows that both versions answer, and not the same
        challenger_seconds double Time that the challenger took, summed over workers
    """),
    from_driver=True,
    version=2,
)

UNSCORABLE = Table(
    "silver",
    "unscorable",
    "A reading that a version gave no finite prediction for; it has none, and is not scored again",
    ("landed_file_id", "line"),
    _columns("""
        key, source_file, line, landed_file_id
        model_version string Registered version that was to score it
        query_id, batch_id
    """),
)


def typed_columns(
    source: SourceSettings, names: tuple[str, ...] | None = None
) -> tuple[Column, ...]:
    """The columns of a source (or those of these names), in Spark's types."""
    chosen = source.columns if names is None else {name: source.columns[name] for name in names}
    return tuple(
        Column(name, SQL_TYPES[column.type], column.comment, name in source.computed)
        for name, column in chosen.items()
    )


def bronze(source: SourceSettings) -> Table:
    """A source's lines as they came."""
    return Table(
        "bronze",
        source.table,
        "A line of a landed file, as it came, whatever it holds",
        ("landed_file_id", "line"),
        _columns("""
            raw          string The line, without its line feed; bytes that are not UTF-8 are
                escapes (\\xff)
            source_file, line, landed_at, ingest_batch, ingested_at, landed_file_id, raw_bytes
            ingest_query string Ingest stream's id
        """),
        sought_by=("landed_file_id", "line", "ingest_batch", "ingest_query"),
        version=2,
    )


def silver_rows(source: SourceSettings, key: str, time: str) -> Table:
    """The valid rows of readings, or of a table of `history.tables`: looked for by key and time."""
    return Table(
        "silver",
        source.table,
        f"A valid row; the first that came for its {key}",
        (key,),
        typed_columns(source) + _POSITION,
        sought_by=(key, time),
        takes_columns=True,
        version=2,
    )


def silver_labels(source: SourceSettings, key: str, time: str) -> Table:
    """The valid labels, looked for by their key and time."""
    return Table(
        "silver",
        source.table,
        f"A valid row; the first that came for its {key}, and corrections of it: the one told last "
        "counts",
        ("landed_file_id", "line"),
        # The mark is a number, since Delta keeps no statistics of a named boolean column.
        typed_columns(source)
        + _POSITION
        + columns(f"""
            {IS_CORRECTION} int
                1 where it was told after another one of its key; NULL where it is the first
        """),
        sought_by=(key, time, IS_CORRECTION),
        takes_columns=True,
        version=2,
    )


def predictions(model: ModelSettings) -> Table:
    """The production predictions, with what they were made from."""
    inputs = (model.key, model.event_time, *model.predictions.features)
    return Table(
        "silver",
        model.predictions.table,
        f"A production prediction; one for a {model.key}, for ever",
        (model.key,),
        typed_columns(model.readings, tuple(dict.fromkeys(inputs)))
        + outcomes(model)
        + _columns("""
            model_version string Registered version that predicted
            query_id, batch_id
        """),
        takes_columns=True,
    )


def outcomes(model: ModelSettings) -> tuple[Column, ...]:
    """The columns of a prediction: a number, or a class with its probabilities."""
    label = typed_columns(model.labels, (model.labels.label,))[0]
    if model.is_regression:
        return (
            Column("prediction", "double", f"The {label.name} that the model expects, in its unit"),
        )
    return (
        Column("prediction", label.ddl, "The class that the model finds most probable"),
        Column(
            "score",
            "double",
            "Probability of the positive class; of several classes, of the predicted one",
        ),
        Column("probability", "map<string,double>", "Probability of each class"),
    )
