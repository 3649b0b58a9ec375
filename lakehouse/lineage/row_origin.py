"""Where one prediction comes from: the lines of its reading and its label, and its micro-batch."""

import pyarrow.compute as pc
from sqlglot import exp

from lakehouse.errors import ConfigurationError
from lakehouse.explain.rows import PlainRows
from lakehouse.lineage.graph import Edge, Graph, Node, graph_of
from lakehouse.lineage.queries import sql_of
from lakehouse.lineage.reading import Records, Row
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.plain_tables import read_rows
from lakehouse.tables import catalog_of

KIND = "prediction"
_NEAR = 1_000


def prediction_graph(records: Records, text: str) -> Graph:
    """All that the production prediction of a key was made from, its lines among it.

    Raises:
        ConfigurationError: there is no such prediction; the message names the nearest keys.
    """
    model, rows = records.model, PlainRows(records.root, records.model)
    key = rows.key(text)
    found = rows.prediction(key)
    if found is None:
        words = f"--of {KIND}/{text}: nothing of that id is on record; {_nearest(records, key)}"
        raise ConfigurationError(words)
    node = f"{KIND}/{text}"
    lines = {"its reading is": rows.reading(key), "its label is": rows.label(key)}
    files = {words: _file(records, row) for words, row in lines.items() if row}
    edges = [
        Edge(file.id, node, f"{words} line {lines[words]['line']} of")  # type: ignore[index]
        for words, file in files.items()
        if file
    ]
    whole = _of_batch(records, found)
    features = ", ".join(f"{name} {found.get(name)}" for name in model.predictions.features)
    label = (lines["its label is"] or {}).get(model.labels.label)
    why = f"it is {found[PREDICTION]} for {features}; its label is {label}"
    facts = {"model": f"model/{found['model_version']}"}
    own = Node(KIND, node, 1, facts, _sql(records, key), why)
    edges += [Edge(whole.of, node, "was written by")] if whole.nodes else []
    nodes = [*whole.nodes, *(file for file in files.values() if file), own]
    return graph_of(node, nodes, [*whole.edges, *edges])


def _of_batch(records: Records, prediction: Row) -> Graph:
    """What the micro-batch was made from that a prediction is of; nothing of an older release's."""
    name = catalog_of(records.model).predictions.full_name
    found = records.rows(
        "SELECT CONCAT(table_name, '#', CAST(version AS STRING)) AS id FROM gold.table_commit "
        f"WHERE table_name = '{name}' AND query_id = '{prediction['query_id']}' "
        f"AND batch_id = {prediction['batch_id']}"
    )
    return records.ancestry_of(found[0]["id"]) if found else Graph("", (), ())


def _file(records: Records, row: Row) -> Node | None:
    """The landed file of a row of silver; an older release recorded none."""
    if row.get("landed_file_id") is None:
        return None
    number = row["landed_file_id"]
    sql = f"SELECT * FROM bronze.landed_file WHERE landed_file_id = {number} AND status = 'landed'"
    record = records.rows(sql)[0]
    facts = {"source_file": record["source_file"], "rows": f"{record['lines']:,}"}
    return Node("file", f"file/{number}", 1, facts, sql_of(f"file/{number}"))


def _nearest(records: Records, key: int | str) -> str:
    """The keys of predictions that are nearest, in words."""
    column, table = records.model.key, catalog_of(records.model).predictions
    near = None
    if isinstance(key, int):
        near = (pc.field(column) >= key - _NEAR) & (pc.field(column) <= key + _NEAR)
    keys = [row[column] for row in read_rows(records.root, table, [column], near)]
    if not keys:
        keys = [row[column] for row in read_rows(records.root, table, [column])]
        return f"keys go from {min(keys)} to {max(keys)}" if keys else "none is"
    if isinstance(key, int):
        keys.sort(key=lambda each: abs(each - key))
    else:
        keys.sort()
    return f"the nearest are {', '.join(f'{KIND}/{each}' for each in keys[:3])}"


def _sql(records: Records, key: int | str) -> str:
    name, column = catalog_of(records.model).predictions.full_name, records.model.key
    literal = exp.Literal.string(key) if isinstance(key, str) else exp.Literal.number(key)
    return f"SELECT * FROM {name} WHERE {column} = {literal.sql(dialect='spark')}"


def graph_of_node(records: Records, node: str) -> Graph:
    """All that a node was made from, whichever its kind.

    Raises:
        ConfigurationError: nothing of that id is on record; the message names the nearest.
    """
    kind, _, rest = node.partition("/")
    return prediction_graph(records, rest) if kind == KIND else records.ancestry(node)
