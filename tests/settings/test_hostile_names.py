"""Whatever stands where a settings file names something, it cannot become SQL or leave the
lakehouse's folder; free text in it stays text.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakehouse.app.opening import checked_root
from lakehouse.errors import ConfigurationError
from lakehouse.settings import ModelSettings
from lakehouse.sql.catalogue import as_duckdb_sql, as_spark_sql, statements_of
from lakehouse.sql.views import views_of
from lakehouse.tables import catalog_of

SHIPPED = yaml.safe_load(Path("conf/glassware.yaml").read_text())
SHIPPED["metrics"] |= {
    "custom": [
        {
            "name": "hot",
            "type": "aggregate",
            "input_columns": [":table"],
            "definition": "count_if(temp > 5)",
            "output_data_type": "long",
        }
    ],
    "model_id_column": "model_version",
    "columns": [],
}
SHIPPED["alerts"] = {
    "rules": [{"name": "low", "metric": "accuracy_score", "below": 0.5}],
    "without": [],
    "channels": [{"kind": "slack", "name": "ours", "url_from": "SLACK_HOOK"}],
}
NAMES = (
    *("name", "key", "event_time", "readings.table", "labels.table", "predictions.table"),
    *("labels.time", "labels.label", "predictions.features.0", "metrics.model_id_column"),
    *("metrics.custom.0.name", "metrics.custom.0.input_columns.0", "alerts.rules.0.name"),
    *("alerts.channels.0.name", "alerts.channels.0.url_from", "readings.columns", "labels.columns"),
)
PARTS = (
    *(
        "'",
        '"',
        "`",
        ";",
        "--",
        "/*",
        "*/",
        "\\",
        "/",
        "..",
        "../../etc",
        "\n",
        "\r",
        "\0",
        "\u2028",
    ),
    *(
        "$",
        "${x}",
        "{{x}}",
        "%s",
        "é",
        "ı",
        "ａ",
        "\u202e",
        "a",
        "temp",
        "pid",
        "select",
        "DROP TABLE x",
    ),
    *(" ", "", "file:///etc/passwd", "s3://b", "a" * 64, "1", "A", "_", "a\n", ":table", "*"),
)
hostile = st.one_of(st.lists(st.sampled_from(PARTS), max_size=4).map("".join), st.text(max_size=8))


def changed(place: str, value: str) -> dict[str, Any]:
    """The shipped settings with a name, or the name of a first column, in place of another."""
    document: Any = copy.deepcopy(SHIPPED)
    *path, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    holder: Any = document
    for step in path:
        holder = holder[step]
    if last == "columns":
        holder[last] = {value: {"type": "double"}, **holder[last]}
    else:
        holder[last] = value
    return document


@given(place=st.sampled_from(NAMES), value=hostile)
def test_a_name_is_a_plain_word_or_is_refused(place: str, value: str) -> None:
    try:
        model = ModelSettings.model_validate(changed(place, value))
        catalog = catalog_of(model)
        views_of(model, catalog)
    except (ValidationError, ConfigurationError):
        return
    assert value == ":table" or re.fullmatch(r"[a-z][a-z0-9_]{0,62}|[A-Z][A-Z0-9_]*", value)
    for table in catalog.tables:
        assert re.fullmatch(r"(bronze|silver|gold)\.[a-z][a-z0-9_]*", table.full_name)
        for column in table.columns:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)


def statements(comment: str) -> Iterator[list[str]]:
    document = copy.deepcopy(SHIPPED)
    document["readings"]["columns"]["temp"]["comment"] = comment
    document["description"] = comment
    model = ModelSettings.model_validate(document)
    catalog = catalog_of(model)
    views = views_of(model, catalog)
    for written in (as_spark_sql, as_duckdb_sql):
        yield statements_of(written(catalog, views, "/lake", lambda table: f"/lake/{table.name}"))


TAME = [len(found) for found in statements("as read")]


@given(comment=st.one_of(hostile, st.just("x';\nDROP TABLE gold.promotion;\n--\0")))
def test_a_comment_stays_one_and_no_statement_ends_in_it(comment: str) -> None:
    of_spark, of_duckdb = statements(comment)
    assert [len(of_spark), len(of_duckdb)] == TAME
    for statement in of_duckdb:
        if "COMMENT ON" in statement and '"temp"' in statement:
            assert len(duckdb.extract_statements(statement)) == 1


@pytest.mark.parametrize("letter", ["\n", "\r", "\0", "\u202e", "*", "%", "[", "\\"])
def test_a_root_that_a_reader_could_take_for_something_else_is_refused(letter: str) -> None:
    with pytest.raises(ConfigurationError, match="not every reader takes as it is; rename it"):
        checked_root(f"/lake{letter}x", True)
