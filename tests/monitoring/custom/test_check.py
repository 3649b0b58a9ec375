"""What a custom metric may not be, each with the sentence that says so; and what it may."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from lakehouse.errors import ConfigurationError
from lakehouse.settings import CustomMetricSettings, load_model_settings
from lakehouse.tables import catalog_of
from lakehouse.tables.custom_columns import custom_columns
from tests.monitoring.custom.test_custom_metrics import check, metric
from tests.settings.test_settings import changed

CATALOG = catalog_of(load_model_settings("conf/glassware.yaml"))

REPLAYED = "which gives another value whenever it is computed; write what the rows themselves tell"
HOURS = "which cannot be summed from hours; "
ADDITIVE = "write it with sum, count, count_if, min, max, avg, bool_or or bool_and"
AGGREGATES_BELOW = (
    "aggregates, but only metrics of type aggregate read rows; write it in terms of metrics"
)
ROWS_ONLY = "the names to write there are: {{prediction_col}}, {{label_col}}"

# A definition, and how the sentence goes on after the metric's name.
REFUSED_AGGREGATES = [
    # templates
    ("avg({{ temp }})", f"has {{{{temp}}}} in its template; {ROWS_ONLY}"),
    ("avg({{input_column}})", f"has {{{{input_column}}}} in its template; {ROWS_ONLY}"),  # of :table there is none
    ("{{current_df}}.count", f"has {{{{current_df}}}} in its template; {ROWS_ONLY}"),
    ("{{ prediction_col.__class__ }}", f"has more than names (getattr) in its template; {ROWS_ONLY}"),
    ("{{ label_col | upper }}", f"has more than names (filter) in its template; {ROWS_ONLY}"),
    ("{{ 'a' * 1000000000 }}", f"has more than names (mul) in its template; {ROWS_ONLY}"),
    ("{{ range(9) }}", f"has more than names (call) in its template; {ROWS_ONLY}"),
    ("{% for _ in 'aaa' %}1{% endfor %}", f"has more than names (for) in its template; {ROWS_ONLY}"),
    ("avg({{label_col)", f"is no Jinja template: unexpected ')'; {ROWS_ONLY}"),
    # what Spark does not understand
    ("avg(temp", "does not parse: Syntax error at or near end of input: missing ')'; write one SQL expression"),
    ("avg(temp); DROP TABLE gold.x", "does not parse: Syntax error at or near ';'; write one SQL expression"),
    ("DROP TABLE gold.x", "does not parse: Syntax error at or near 'gold'; write one SQL expression"),
    ("avg(tmp)", "is not understood by Spark: A column, variable, or function parameter with name `tmp` cannot be"),
    ("average(temp)", "is not understood by Spark: Cannot resolve routine `average`"),
    ("sum(critical)", 'is not understood by Spark: Cannot resolve "sum(critical)" due to data type mismatch'),
    ("(" * 200 + "avg(temp)" + ")" * 200, "nests too deeply; write it flatter"),
    ("avg(temp) AS mean", "is more than one plain SQL expression; leave out AS and what is not Spark's own SQL"),
    # what is read here otherwise than by Spark
    ("array(avg(temp), 2)[1]", "is read here as ARRAY(1), which is not the same to Spark; write it in plainer SQL"),
    # what is no aggregate
    ("1 + 1", f"has no aggregate function that hours can be summed of; {ADDITIVE}"),
    ("temp", "reads a column outside of an aggregate function; put it inside one, such as avg(x)"),
    ("temp - avg(temp)", "reads a column outside of an aggregate function; put it inside one, such as avg(x)"),
    ("sum(avg(temp))", "has an aggregate inside another; write one of them"),
    ("avg(other) + 1", "reads the metric other, but an aggregate reads rows; write `type: derived`"),
    # what is not additive
    ("median(temp)", f"uses median, {HOURS}read the column's own `median` and `quantiles`"),
    ("approx_percentile(temp, 0.9)", f"uses approx_percentile, {HOURS}read the column's own `median` and `quantiles`"),
    ("percentile_cont(0.9) WITHIN GROUP (ORDER BY temp)", f"uses percentile_cont, {HOURS}read the column's own"),
    ("avg(temp) / stddev(temp)", f"uses stddev, {HOURS}read the column's own `stddev`"),
    ("count(DISTINCT grade)", f"aggregates DISTINCT values, {HOURS}read the column's own `distinct_count`"),
    ("sum(DISTINCT n)", f"aggregates DISTINCT values, {HOURS}read the column's own `distinct_count`"),
    ("approx_count_distinct(grade)", f"uses approx_count_distinct, {HOURS}read the column's own `distinct_count`"),
    ("size(collect_set(grade))", f"uses collect_set, {HOURS}read the column's own `frequent_items`"),
    ("first(temp) IGNORE NULLS", f"uses first, {HOURS}write min or max of a number"),
    ("corr(temp, pressure)", f"uses corr, {HOURS}write it in terms of avg(x), avg(y), avg(x * y)"),
    ("try_sum(temp)", f"uses try_sum, {HOURS}write sum"),
    ("regr_count(temp, n)", f"has no aggregate function that hours can be summed of; {ADDITIVE}"),
    ("max(temp) + regr_count(temp, n)", f"has an aggregate function that cannot be summed from hours; {ADDITIVE}"),
    ("max(temp) + regr_count(1, 2)", f"has an aggregate function that cannot be summed from hours; {ADDITIVE}"),
    ("max(process_time) > timestamp '2024-01-01'", "keeps a timestamp from MAX(process_time); write a number, such"),
    ("max(grade)", "keeps a string from MAX(grade); write a number"),
    # what some row would make Spark raise
    ("sum(grade + 1)", "would stop the pipeline at some row: The value '' of the type \"STRING\" cannot be cast"),
    ("count_if({{label_col}} = 'yes')", "would stop the pipeline at some row: The value 'yes' of the type"),
    ("count(*) FILTER (WHERE grade = 3)", "would stop the pipeline at some row: The value '' of the type"),
    ("max(length(split(grade, ',')[1]))", "would stop the pipeline at some row: The index 1 is out of bounds"),
    ("element_at(array(1, 2), int(count(*)) + 3)", "would stop the pipeline at some row: The index 3 is out of bounds"),
    # what may not be in any
    ("sum(temp) OVER ()", "has a window function; write an aggregate, or a drift metric to compare with the window"),
    ("sum((SELECT 1))", "has a subquery; write one column expression over the columns alone"),
    ("count_if(grade IN (SELECT 'a'))", "has a subquery; write one column expression over the columns alone"),
    ("count_if(EXISTS (SELECT 1))", "has a subquery; write one column expression over the columns alone"),
    ("max(explode(array(n)))", "makes several rows of one; write one value for a row"),
    ("sum(rand())", f"uses rand, {REPLAYED}"),
    ("sum(temp) * uuid()", f"uses uuid, {REPLAYED}"),
    ("sum(reflect('java.lang.Math', 'abs', 1))", "uses reflect, which runs code outside of SQL; leave it out"),
    ("count_if(process_time < now())", f"uses now, {REPLAYED}"),
    ("count_if(process_time < current_date)", f"uses current_date, {REPLAYED}"),
    ("count_if(process_time < localtimestamp)", f"uses localtimestamp, {REPLAYED}"),
    ("max(unix_timestamp() - unix_timestamp(process_time))", f"uses unix_timestamp(), {REPLAYED}"),
    ("count_if(user = 'me')", "uses user, which depends on who computes it; leave it out"),
    ("max(length(builtin.java_method('java.lang.System', 'lineSeparator')))", "uses java_method"),
    ("sum(raise_error('no'))", "uses raise_error, which would stop the pipeline; give NULL instead"),
    ("count(window(process_time, '2 hours', '1 hour'))", "uses window, which makes windows; those of metrics"),
]  # fmt: skip
REFUSED_DERIVED = [
    (
        "sqrt(othr)",
        "reads othr, which is no metric and no column of gold.profile_metrics; did you mean other?",
    ),
    (
        "sqrt(zzzzzz)",
        "reads zzzzzz, which is no metric and no column of gold.profile_metrics; write the name of one",
    ),
    ("temp / 2", "reads temp, a column of the rows; make an aggregate metric of it, and read that"),
    (
        "other_delta",
        "reads the drift metric other_delta; only aggregate and derived metrics can be read",
    ),
    (
        "elsewhere",
        "reads elsewhere, which has no value on :table; add :table to the input_columns of elsewhere",
    ),
    ("max(other)", AGGREGATES_BELOW),
    ("median(other)", AGGREGATES_BELOW),
    ("regr_count(other, 1)", AGGREGATES_BELOW),
    ("sum(other) OVER ()", "has a window function; write an aggregate"),
    ("(SELECT other)", "has a subquery; write one column expression over the columns alone"),
    ("explode(quantiles)", "makes several rows of one; write one value for a row"),
    ("other * rand()", f"uses rand, {REPLAYED}"),
    ("{{label_col}}", "has {{label_col}} in its template; the names to write there are: none"),
    ("sqrt(", "does not parse: Syntax error at or near end of input; write one SQL expression"),
    ("other AS x", "is more than one plain SQL expression; leave out AS"),
    (
        "confusion_matrix[0].count",
        "would stop the pipeline at some row: The index 0 is out of bounds. The array has 0",
    ),
]
REFUSED_DRIFT = [
    (
        "{{current_df}}.othr",
        "reads othr, which is no metric and no column of gold.profile_metrics; did you mean other?",
    ),
    (
        "{{base_df}}.temp",
        "reads temp, a column of the rows; make an aggregate metric of it, and read that",
    ),
    (
        "{{current_df}}.other - other",
        "reads other of no window; write {{current_df}}.metric or {{base_df}}.metric",
    ),
    (
        "{{current_df}} IS NULL",
        "reads current_df of no window; write {{current_df}}.metric or {{base_df}}.metric",
    ),
    (
        "{{current_df}}.other_delta",
        "reads the drift metric other_delta; only aggregate and derived metrics can be read",
    ),
    ("avg({{current_df}}.other)", AGGREGATES_BELOW),
    (
        "{{current_df}}.elsewhere",
        "reads elsewhere, which has no value on :table; add :table to the input_columns",
    ),
    (
        "{{prediction_col}}",
        "has {{prediction_col}} in its template; the names to write there are: {{current_df}}, {{base",
    ),
]
REFUSED_TYPES = [
    ("count(*) > 1", "double", None),  # true is 1, false is 0
    ("count(*)", "boolean", "gives a bigint, which is no boolean; write another type, or cast it"),
    ("if(count(*) > 1, 'a', 'b')", "double", "gives a string, which is no double; write another type, or cast it"),
    ("timestamp_seconds(max(n))", "long", "gives a timestamp, which is no long; write another type, or cast it"),
    ("CASE WHEN count(*) > 1 THEN NULL END", "integer", None),
    ("avg(0.1)", "long", None),
]  # fmt: skip
OTHERS = [
    metric("other", "avg(temp)"),
    metric("elsewhere", "avg(temp)", input_columns=["temp"]),
    metric("other_delta", "{{current_df}}.other - {{base_df}}.other", "drift"),
]


def refusals(
    spark: SparkSession, metrics: list[CustomMetricSettings]
) -> dict[str, tuple[str, str]]:
    """For each refused metric, the setting that is named and the rest of the sentence after the
    metric's name.
    """
    try:
        check(spark, *OTHERS, *metrics)
    except ConfigurationError as error:
        told = [line.split(" ", 2) for line in str(error).splitlines()]
        return {name: (key, rest) for key, name, rest in told}
    return {}


def refused(
    spark: SparkSession, cases: list[tuple[str, str]], kind: str
) -> Mapping[str, tuple[str, str]]:
    """All of them in one check: each wrong metric has its sentence, whatever is wrong with the
    others.
    """
    found = refusals(
        spark, [metric(f"m{place}", text, kind) for place, (text, _) in enumerate(cases)]
    )
    return {
        text: found.get(f"m{place}", ("", "is accepted")) for place, (text, _) in enumerate(cases)
    }


@pytest.fixture(scope="module")
def said(spark: SparkSession) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    cases = {"aggregate": REFUSED_AGGREGATES, "derived": REFUSED_DERIVED, "drift": REFUSED_DRIFT}
    return {kind: refused(spark, of_kind, kind) for kind, of_kind in cases.items()}


@pytest.mark.parametrize(
    ("kind", "place", "text", "sentence"),
    [
        (kind, place, text, sentence)
        for kind, cases in (
            ("aggregate", REFUSED_AGGREGATES),
            ("derived", REFUSED_DERIVED),
            ("drift", REFUSED_DRIFT),
        )
        for place, (text, sentence) in enumerate(cases)
    ],
    ids=lambda given: f"{given:.40}" if isinstance(given, str) else "",
)
def test_a_wrong_definition_gives_one_sentence_that_says_why(
    said: Mapping[str, Mapping[str, tuple[str, str]]],
    kind: str,
    place: int,
    text: str,
    sentence: str,
) -> None:
    key, told = said[kind][text]
    assert told[: len(sentence)] == sentence
    assert key == f"metrics.custom.{place + len(OTHERS)}.definition:"


def test_the_output_type_must_fit_what_the_definition_gives(spark: SparkSession) -> None:
    cases = [
        metric(f"m{n}", text, output_data_type=kind)
        for n, (text, kind, _) in enumerate(REFUSED_TYPES)
    ]
    told = refusals(spark, cases)
    assert [told.get(f"m{n}") for n in range(len(REFUSED_TYPES))] == [
        sentence and (f"metrics.custom.{n + len(OTHERS)}.output_data_type:", sentence)
        for n, (_, _, sentence) in enumerate(REFUSED_TYPES)
    ]


def test_input_columns_must_have_rows_in_the_metric_tables(spark: SparkSession) -> None:
    told = refusals(
        spark, [metric("m", "avg({{input_column}})", input_columns=["temp", "weight", "tmp"])]
    )
    sentence = "names weight, tmp, which has no rows in the metric tables; write any of :table, temp, pressure, n, grade"
    assert told == {"m": ("metrics.custom.3.input_columns:", sentence)}


def test_one_wrong_input_column_is_enough(spark: SparkSession) -> None:
    right, wrong = (
        metric("m", "sum(-{{input_column}})", input_columns=columns)
        for columns in (["temp", "n"], ["n", "grade"])
    )
    assert refusals(spark, [right]) == {}
    assert "cannot be cast" in refusals(spark, [wrong])["m"][1]


def test_metrics_that_read_each_other_in_a_circle_are_refused(spark: SparkSession) -> None:
    circle = [
        metric("a", "b + 1", "derived"),
        metric("b", "c + other", "derived"),
        metric("c", "a", "derived"),
    ]
    with pytest.raises(ConfigurationError) as error:
        check(spark, *OTHERS, *circle)
    assert str(error.value) in {
        f"metrics.custom: {x} reads {y}, which reads {z}, which reads {x}; let one of them read other metrics"
        for x, y, z in ("abc", "bca", "cab")
    }
    with pytest.raises(
        ConfigurationError,
        match=r"^metrics\.custom: a reads a; let one of them read other metrics$",
    ):
        check(spark, metric("a", "a + 1", "derived"))


def test_a_refused_expression_leaves_no_stack_trace_in_the_log(
    spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refusals(spark, [metric("m", "avg(tmp)")])
    assert capfd.readouterr().err == ""


UNDERSTOOD = [
    "count(*) FILTER (WHERE {{label_col}} IS NOT NULL)",
    "sum(CASE n WHEN 1 THEN 2 WHEN -1 THEN - 2 ELSE 1e3 END)",
    "count_if(grade NOT IN ('a', 'it\\'s') AND grade NOT LIKE 'a\\\\_%' AND NOT grade RLIKE '\\\\d+')",
    "count_if(critical IS NOT TRUE AND !critical AND critical <=> FALSE AND n == 3 AND n <> 4)",
    "count_if(temp NOT BETWEEN -1 AND 1.5D OR n > 3L)",
    "count_if(process_time - INTERVAL 1 HOUR > timestamp '2024-01-01' AND date(process_time) > date '2024-02-29')",
    "avg(EXTRACT(HOUR FROM process_time)) + avg(datediff(process_time, date '2024-01-01'))",
    "sum(length(trim(BOTH 'x' FROM grade)) + length(substring(grade, 1, 2)) + position('a', grade))",
    "sum(n & 1 | n ^ 2) + max(shiftleft(n, 2))",
    "-avg(ln(if({{label_col}} = 1, score, 1 - score)))",
    "sum(aggregate(array(temp, pressure), 0D, (total, each) -> total + each))",
    "count_if(exists(array(temp, pressure), x -> x > 1))",
    "round(100 * count_if(isnan(temp)) / count(1), 2)::int",
    "avg({% if label_col == 'quality' %}temp{% else %}pressure{% endif %})",
    "sum(temp) -- of all\n / /* how many */ count(*)",
    "sum(n * n * n) / sum(2 * n)",
]


def test_plain_expressions_of_many_kinds_are_understood_as_spark_understands_them(
    spark: SparkSession,
) -> None:
    assert refusals(spark, [metric(f"m{n}", text) for n, text in enumerate(UNDERSTOOD)]) == {}


GIVEN: dict[str, Any] = {
    "name": "squared_avg",
    "type": "aggregate",
    "input_columns": ["temp", "pressure"],
    "definition": "avg(`{{input_column}}` * `{{input_column}}`)",
    "output_data_type": "double",
}


def loaded(tmp_path: Path, *metrics: Any) -> tuple[CustomMetricSettings, ...]:
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(changed("metrics.custom", list(metrics))))
    return load_model_settings(path).metrics.custom


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("double", "double"),
        ("LONG", "long"),
        ("bigint", "long"),
        ("int", "integer"),
        (
            '{"name":"output","type":"double","nullable":true,"metadata":{}}',
            "double",
        ),  # StructField(...).json()
        ({"name": "output", "type": "string", "nullable": True, "metadata": {}}, "string"),
    ],
)
def test_an_output_type_is_a_name_or_a_struct_field(tmp_path: Path, given: Any, read: str) -> None:
    (found,) = loaded(tmp_path, GIVEN | {"output_data_type": given})
    assert found.output_data_type == read


@pytest.mark.parametrize(
    "given",
    ["drift", "DRIFT", "CUSTOM_METRIC_TYPE_DRIFT", "DATA_PROFILING_CUSTOM_METRIC_TYPE_DRIFT"],
)
def test_a_type_is_a_word_or_databricks_name_of_it(tmp_path: Path, given: str) -> None:
    (found,) = loaded(tmp_path, GIVEN | {"type": given})
    assert found.type == "drift"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "Squared Avg"}, "0.name: write lower-case letters, digits and underscores"),
        ({"type": "ratio"}, "0.type: Input should be 'aggregate', 'derived' or 'drift' (it says 'ratio')"),
        ({"type": 3}, "0.type: Input should be 'aggregate', 'derived' or 'drift'"),
        ({"input_columns": []}, "0.input_columns: Tuple should have at least 1 item"),
        ({"input_columns": [":tables"]}, "0.input_columns.0: write lower-case letters, digits and underscores"),
        ({"input_columns": ["temp", "temp"]}, "0.input_columns: temp stands there more than once; write each once"),
        ({"definition": ""}, "0.definition: String should have at least 1 character"),
        ({"output_data_type": "decimal(3,1)"}, "0.output_data_type: Input should be 'double', 'long'"),
        ({"output_data_type": '{"type": '}, "0.output_data_type: write a type such as `double`, or the JSON"),
        ({"output_data_type": {"type": {"type": "struct"}}}, "0.output_data_type: Input should be 'double', 'long'"),
        ({"definitions": "x"}, "0.definitions: is not a setting; write one of name, type, input_columns"),
    ],
)  # fmt: skip
def test_a_wrong_field_gives_one_sentence(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(tmp_path, GIVEN | wrong)
    (sentence,) = str(error.value).splitlines()
    assert f": metrics.custom.{says}" in sentence


def test_two_metrics_of_one_name_give_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        loaded(tmp_path, GIVEN, GIVEN | {"type": "drift"})
    assert str(error.value).endswith(
        ": metrics.custom: squared_avg stands there more than once; write each once"
    )


def test_without_custom_metrics_there_are_none() -> None:
    assert load_model_settings("conf/glassware.yaml").metrics.custom == ()


def test_a_metric_becomes_a_column_of_its_type_in_the_table_that_it_belongs_to() -> None:
    kinds = {
        "double": "double",
        "long": "bigint",
        "integer": "int",
        "boolean": "boolean",
        "string": "string",
    }
    metrics = [metric(f"a_{kind}", "avg(\n  temp )", output_data_type=kind) for kind in kinds]
    profile, drift = custom_columns(
        [*metrics, metric("b", "a", "derived"), metric("c", "1", "drift")],
        CATALOG.profile_metrics,
        CATALOG.drift_metrics,
    )
    assert [(each.name, each.ddl) for each in profile] == [
        *((f"a_{k}", ddl) for k, ddl in kinds.items()),
        ("b", "double"),
    ]
    assert [(each.name, each.ddl) for each in drift] == [("c", "double")]
    assert profile[0].comment == "Custom aggregate metric: avg( temp )"


def test_a_name_that_the_table_has_already_gives_one_sentence_for_each_metric() -> None:
    metrics = [
        metric("avg", "sum(temp)"),
        metric("js_distance", "sum(temp)"),  # a column of the other table
        metric("ks_test", "1", "drift"),
        metric("f1_score", "1", "derived"),
    ]
    with pytest.raises(ConfigurationError) as error:
        custom_columns(metrics, CATALOG.profile_metrics, CATALOG.drift_metrics)
    assert str(error.value).splitlines() == [
        "metrics.custom.0.name: avg is a column of gold.profile_metrics already; write another name",
        "metrics.custom.2.name: ks_test is a column of gold.drift_metrics already; write another name",
        "metrics.custom.3.name: f1_score is a column of gold.profile_metrics already; write another name",
    ]
