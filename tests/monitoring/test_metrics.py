"""The metric tables against an independent computation from silver (tests/support/reference.py)."""

import datetime as dt
import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakehouse.calendar import Granularity, Window
from lakehouse.monitoring.measured import AsOf
from lakehouse.monitoring.transforms import specs_of
from lakehouse.monitoring.windows import WindowFacts
from lakehouse.versions.ledger import PromotionLedger
from tests.support.reference import (
    classification_of,
    differences,
    drift_of,
    profile_of,
    regression_of,
)
from tests.support.rows import moment
from tests.support.written import a_day_of_second, by_week, second_version

PLACES = [
    ("small", "1 day"),
    ("small", "1 week"),
    ("depot", "30 minutes"),
    ("depot", "1 day"),
    ("depot", "1 month"),
    ("shop", "1 day"),
]
Place = tuple[dt.datetime, str, str | None, str | None]
Part = list[dict[str, Any]]


@pytest.fixture(scope="module")
def small(spark, tmp_path_factory):
    """Two versions have predicted, within two weeks, and not all labels have come."""
    lakehouse = second_version(spark, tmp_path_factory.mktemp("metrics") / "lake", by_week)
    a_day_of_second(lakehouse)
    return lakehouse


def raw_rows(lakehouse) -> Part:
    """Predictions with their labels, straight from silver, with what the first model would have
    predicted.
    """
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    labels = by_key(lakehouse, catalog.labels, [model.labels.label])
    others = by_key(lakehouse, catalog.readings, list(model.metrics.columns))
    unlabelled = {model.labels.label: None}
    rows = [
        row | others[row[model.key]] | labels.get(row[model.key], unlabelled)
        for row in store.rows(catalog.predictions)
    ]
    first = PromotionLedger(lakehouse).load("1")
    features = pd.DataFrame(rows)[list(first.feature_names_in_)]
    outputs = first.predict(features.where(features.notna(), None))
    others = outputs if model.is_regression else [model.classes[code] for code in outputs]
    return [row | {"_first": other} for row, other in zip(rows, others, strict=True)]


def by_key(lakehouse, table, columns: list[str]) -> dict[Any, dict[str, Any]]:
    """The columns of each row of silver."""
    key = lakehouse.model.key
    rows = lakehouse.store.rows(table, columns=[key, *columns])
    return {row[key]: {name: row[name] for name in columns} for row in rows}


def slices_of(lakehouse, row: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """The slices that a row is in, by plain Python."""
    values = {
        "lane": lambda each: each["lane"],
        "grams > 50": lambda each: (
            None if each["grams"] is None else str(each["grams"] > 50).lower()
        ),
    }
    return [(None, None), *((key, values[key](row)) for key in lakehouse.model.metrics.slices)]


def start_of(at: dt.datetime, granularity: str) -> dt.datetime:
    """The start of the window, by pandas."""
    freq = {"1 day": "D", "1 week": "W-SUN", "1 month": "M"}.get(granularity)
    naive = pd.Timestamp(at).tz_localize(None)
    start = (
        naive.to_period(freq).start_time
        if freq
        else naive.floor(granularity.replace(" minutes", "min"))
    )
    return start.to_pydatetime().replace(tzinfo=dt.UTC)


def parts_of(lakehouse, granularity: str) -> dict[Place, Part]:
    """The rows of each window, version (and `*`) and slice."""
    found: dict[Place, Part] = defaultdict(list)
    for row in raw_rows(lakehouse):
        start = start_of(row[lakehouse.model.event_time].replace(tzinfo=dt.UTC), granularity)
        for version in (row["model_version"], "*"):
            for slice_ in slices_of(lakehouse, row):
                found[start, version, *slice_].append(row)
    return dict(found)


def with_mappings(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its maps as dictionaries: Arrow gives them as pairs."""
    by_class = {name: row[name] for name in ("precision", "recall", "f1_score") if row.get(name)}
    return row | {
        name: each | {"one_vs_all": dict(each["one_vs_all"])} for name, each in by_class.items()
    }


def table_rows(lakehouse, table, granularity: str) -> dict:
    name = lakehouse.model.metrics.model_id_column
    return {
        (
            (row["window"]["start"], row[name], row["slice_key"], row["slice_value"]),
            row["column_name"],
            row.get("drift_type"),
        ): with_mappings(row)
        for row in lakehouse.store.rows(table)
        if row["granularity"] == granularity
    }


@pytest.fixture(scope="module", params=PLACES, ids=" ".join)
def computed(request, small, depot, shop):
    """A lakehouse, its rows by window, version and slice, and its rows of both metric tables."""
    place, granularity = request.param
    found = {"small": small, "depot": depot, "shop": shop.lakehouse}
    lakehouse = found[place]
    catalog = lakehouse.catalog
    profile = table_rows(lakehouse, catalog.profile_metrics, granularity)
    drift = table_rows(lakehouse, catalog.drift_metrics, granularity)
    return lakehouse, parts_of(lakehouse, granularity), profile, drift


def cells(part: Part, name: str) -> list[Any]:
    return [row[name] for row in part]


def test_there_is_one_row_for_each_window_version_slice_and_column(computed):
    lakehouse, parts, profile, _ = computed
    names = [":table", *(spec.name for spec in specs_of(lakehouse.model))]
    assert set(profile) == {(place, name, None) for place in parts for name in names}
    assert {version for _, version, *_ in parts} >= {"1", "*"}
    assert len({key for _, _, key, _ in parts}) == 1 + len(lakehouse.model.metrics.slices)


def test_counts_and_labels_are_those_of_silver(computed):
    lakehouse, parts, profile, _ = computed
    label = lakehouse.model.labels.label
    for place, part in parts.items():
        row = profile[place, ":table", None]
        n_labelled = sum(each[label] is not None for each in part)
        assert (row["count"], row["n_labelled"]) == (len(part), n_labelled)
        assert row["label_coverage"] == n_labelled / len(part)
        monitored = [spec.name for spec in specs_of(lakehouse.model)]
        filled = [name for name in monitored if any(each is not None for each in cells(part, name))]
        assert sorted(row["non_null_columns"]) == sorted(filled)


def test_quality_is_scikit_learns(computed):
    lakehouse, parts, profile, _ = computed
    judged = 0
    for place, part in parts.items():
        expected = quality_of(part, lakehouse.model)
        assert differences(profile[place, ":table", None], expected) == [], place
        judged += any(value is not None for value in expected.values())
    assert judged >= 2


def quality_of(part: Part, model) -> dict[str, Any]:
    """The columns that judge the model; raw probabilities are those that the predictions table
    holds.
    """
    outcome, label = cells(part, "prediction"), cells(part, model.labels.label)
    if model.is_regression:
        return regression_of(outcome, label, model.predictions.tolerance, cells(part, "_first"))
    scores = np.array(
        [[dict(row["probability"])[str(each)] for each in model.classes] for row in part]
    )
    positive = model.positive if len(model.classes) == 2 else None
    return classification_of(outcome, label, scores, model.classes, positive, cells(part, "_first"))


def test_statistics_of_columns_are_those_of_pandas(computed):
    lakehouse, parts, profile, _ = computed
    for spec in specs_of(lakehouse.model):
        for place, part in parts.items():
            row = profile[place, spec.name, None]
            assert row["data_type"] == spec.data_type
            expected = profile_of(cells(part, spec.name), spec.data_type, spec.kind)
            assert differences(row, expected) == [], (place, spec.name)


def test_drift_from_the_window_before_is_scipys(computed):
    lakehouse, parts, _, drift = computed
    granularity = next(row["granularity"] for row in drift.values())
    edges = {column["name"]: column["bin_edges"] for column in baseline_of(lakehouse, "1")}
    before = {
        place: parts.get((start_before(place[0], granularity), *place[1:])) for place in parts
    }
    for spec in specs_of(lakehouse.model):
        for place, part in parts.items():
            row = drift.get((place, spec.name, "CONSECUTIVE"))
            assert (row is None) == (before[place] is None)
            if row is not None:
                sides = [cells(each, spec.name) for each in (part, before[place])]
                expected = drift_of(*sides, spec.data_type, spec.kind, edges.get(spec.name))
                assert differences(row, expected) == [], (place, spec.name)
    consecutive = [
        (place, row)
        for (place, name, kind), row in drift.items()
        if (name, kind) == (":table", "CONSECUTIVE")
    ]
    assert consecutive or granularity == "1 month"
    assert all(
        row["count_delta"] == len(parts[place]) - len(before[place]) for place, row in consecutive
    )


def start_before(start: dt.datetime, granularity: str) -> dt.datetime:
    return Granularity(granularity).before(Granularity(granularity).window(start)).start


def baseline_of(lakehouse, version: str) -> list[dict[str, Any]]:
    """The columns of the version's JSON."""
    return lakehouse.registry.baseline(lakehouse.registry.version(version))["columns"]


def test_drift_from_the_training_data_is_scipys(computed):
    lakehouse, parts, _, drift = computed
    model, record = lakehouse.model, lakehouse.registry.version("1").record
    edges = {column["name"]: column["bin_edges"] for column in baseline_of(lakehouse, "1")}
    trained = training_rows(lakehouse, record)
    assert len(trained) == record.trained_rows
    compared = 0
    for spec in specs_of(model):
        if spec.name not in trained[0]:  # predictions of the cross-fit are nowhere else
            continue
        for place, part in parts.items():
            row = drift.get((place, spec.name, "BASELINE"))
            assert (row is None) == (place[2] is not None)
            if row is not None and place[1] == "1":
                sides = [cells(each, spec.name) for each in (part, trained)]
                expected = drift_of(*sides, spec.data_type, spec.kind, edges[spec.name])
                assert differences(row, expected) == [], (place, spec.name)
                compared += 1
    assert compared >= len(trained[0]) - 1


def training_rows(lakehouse, record) -> Part:
    """The labelled readings that the first version was trained on."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    labels = by_key(lakehouse, catalog.labels, [model.labels.label, model.labels.time])
    kept = [*model.predictions.features, *model.metrics.columns]
    return [
        {name: row[name] for name in kept} | {model.labels.label: label[model.labels.label]}
        for row in store.rows(catalog.readings)
        for label in [labels.get(row[model.key])]
        if label and label[model.labels.time] <= record.as_of
    ]


def test_pvalues_are_adjusted_for_the_columns_tested_at_once(computed):
    from scipy.stats import false_discovery_control

    *_, drift = computed
    tests: dict[Any, dict[str, float]] = defaultdict(dict)
    for (place, name, kind), row in drift.items():
        test = row["ks_test"] or row["chi_squared_test"]
        if test is None:
            assert row["adjusted_pvalue"] is None
        else:
            tests[place, kind][name] = test["pvalue"]
    for (place, kind), pvalues in tests.items():
        found = [drift[place, name, kind]["adjusted_pvalue"] for name in pvalues]
        assert found == pytest.approx(
            list(false_discovery_control(list(pvalues.values()))), rel=1e-9
        )
    assert max(map(len, tests.values())) >= 3


def test_custom_metrics_are_columns_computed_as_by_pandas(depot):
    lakehouse, checked = depot, 0
    daily = {
        place[0]: pd.DataFrame(part)
        for place, part in parts_of(lakehouse, "1 day").items()
        if place[1:] == ("*", None, None)
    }
    for row in lakehouse.store.rows(lakehouse.catalog.profile_metrics):
        if (row["granularity"], row["model_version"], row["slice_key"]) != ("1 day", "*", None):
            continue
        day, column = daily[row["window"]["start"]], row["column_name"]
        wrong = day[day["outcome"].notna() & (day["prediction"] != day["outcome"])][
            "grams"
        ].dropna()
        labelled = day["outcome"].notna().sum()
        weighted = wrong.sum() / labelled if len(wrong) and labelled else None
        assert row["wrong_grams"] == (
            weighted and pytest.approx(weighted) if column == ":table" else None
        )
        square = (day[column].astype(float) ** 2).mean() if column in ("grams", "found") else None
        assert row["mean_square"] == (square and pytest.approx(square))
        assert row["root_mean_square"] == (square and pytest.approx(np.sqrt(square)))
        checked += square is not None
    assert checked >= 4


def test_custom_drift_is_between_the_windows_compared(depot):
    lakehouse = depot
    whole = [
        row
        for row in lakehouse.store.rows(lakehouse.catalog.profile_metrics)
        if row["slice_key"] is None
    ]
    profile = {
        (row["window"]["start"], row["granularity"], row["model_version"]): row["root_mean_square"]
        for row in whole
        if row["window"] and row["column_name"] == "grams"
    }
    compared = 0
    for row in lakehouse.store.rows(lakehouse.catalog.drift_metrics):
        if row["slice_key"] or row["column_name"] != "grams":
            assert row["slice_key"] or row["root_mean_square_delta"] is None
        elif row["drift_type"] == "BASELINE":  # a profile and no rows
            assert row["root_mean_square_delta"] is None
        else:
            now = profile[row["window"]["start"], row["granularity"], row["model_version"]]
            then = profile[row["window_cmp"]["start"], row["granularity"], row["model_version"]]
            known = now is not None and then is not None
            assert row["root_mean_square_delta"] == (pytest.approx(now - then) if known else None)
            compared += known
    assert compared > 5


def test_a_window_is_final_when_no_label_can_come_any_more(computed):
    lakehouse, parts, profile, _ = computed
    model = lakehouse.model
    labels = lakehouse.store.rows(lakehouse.catalog.labels, columns=[model.labels.time])
    as_of = max(row[model.labels.time] for row in labels)
    states = set()
    for (place, name, _), row in profile.items():
        if name == ":table":
            complete = all(label is not None for label in cells(parts[place], model.labels.label))
            end = row["window"]["end"]
            assert row["is_final"] == (
                (complete and end <= as_of) or end + model.labels.horizon <= as_of
            )
            states.add(row["is_final"])
    assert False in states


def test_windows_that_a_version_was_trained_on_are_marked(computed):
    lakehouse, parts, profile, _ = computed
    versions = {row["model_version"] for part in parts.values() for row in part}
    until = {version: lakehouse.registry.version(version).record.trained_to for version in versions}
    for place, part in parts.items():
        times = [
            (row[lakehouse.model.event_time].replace(tzinfo=dt.UTC), until[row["model_version"]])
            for row in part
        ]
        assert profile[place, ":table", None]["in_training_window"] == any(
            at <= last for at, last in times
        )


def test_each_version_has_the_baseline_rows_of_its_training_data(small, depot):
    for lakehouse in (small, depot):
        rows = lakehouse.store.rows(lakehouse.catalog.profile_metrics)
        found = [row for row in rows if row["log_type"] == "BASELINE"]
        names = [":table", *(spec.name for spec in specs_of(lakehouse.model))]
        versions = PromotionLedger(lakehouse).promoted_versions
        assert sorted((row["model_version"], row["column_name"]) for row in found) == sorted(
            (version, name) for version in versions for name in names
        )
        assert all(row["window"] is None and row["granularity"] is None for row in found)
        trained = {version: lakehouse.registry.version(version).record for version in versions}
        counts = {
            row["model_version"]: row["count"] for row in found if row["column_name"] == ":table"
        }
        for version, record in trained.items():
            if record.changed_at is None:
                assert counts[version] == record.trained_rows
            else:  # with the rows that later ones contradict: a feature has not drifted where a rule has
                assert counts[version] >= record.trained_rows


PUBLISHED = {
    "profile_metrics": """window struct<start:timestamp,end:timestamp> | log_type string |
        logging_table_commit_version int | monitor_version bigint | granularity string | slice_key string |
        slice_value string | column_name string | count bigint | num_nulls bigint | num_zeros bigint | num_nan bigint |
        distinct_count bigint | data_type string | avg double | min double | max double | stddev double |
        median double | quantiles array<double> | min_length double | max_length double | avg_length double |
        non_null_columns array<string> | frequent_items array<struct<item:string,count:bigint>> | percent_nan double |
        percent_null double | percent_zeros double | percent_distinct double | model_version string |
        accuracy_score double | log_loss double | roc_auc_score double |
        confusion_matrix array<struct<prediction:string,label:string,count:bigint>> |
        precision struct<macro:double,weighted:double,one_vs_all:map<string,double>> |
        recall struct<macro:double,weighted:double,one_vs_all:map<string,double>> |
        f1_score struct<macro:double,weighted:double,one_vs_all:map<string,double>> | mean_squared_error double |
        root_mean_squared_error double | mean_average_error double | mean_absolute_percentage_error double |
        r2_score double | n_labelled bigint | label_coverage double | is_final boolean | in_training_window boolean |
        as_of_version map<string,bigint>""",
    "drift_metrics": """window struct<start:timestamp,end:timestamp> | granularity string | monitor_version bigint |
        slice_key string | slice_value string | column_name string | data_type string |
        window_cmp struct<start:timestamp,end:timestamp> | drift_type string | count_delta bigint | avg_delta double |
        percent_null_delta double | percent_zeros_delta double | percent_distinct_delta double |
        non_null_columns_delta struct<added:int,missing:int> | js_distance double |
        ks_test struct<statistic:double,pvalue:double> | wasserstein_distance double |
        population_stability_index double | chi_squared_test struct<statistic:double,pvalue:double> |
        tv_distance double | l_infinity_distance double | model_version string | as_of_version map<string,bigint>""",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_column_is_there_with_its_type(small, name):
    found = small.store.read(getattr(small.catalog, name)).schema
    kinds = {field.name: field.dataType.simpleString() for field in found}
    published = dict(
        re.split(r"\s+", column.strip(), maxsplit=1) for column in PUBLISHED[name].split("|")
    )
    assert {column: kinds.get(column) for column in published} == published


def test_rows_say_which_versions_they_were_computed_from(small):
    for row in small.store.rows(small.catalog.profile_metrics):
        read = dict(row["as_of_version"] or {})
        if row["log_type"] == "INPUT":
            assert set(read) == {"silver.guess", "silver.truth"}
            assert row["logging_table_commit_version"] == read["silver.guess"]
            assert row["window_date"] == row["window"]["start"].date()


def test_the_state_of_a_window_is_decided_by_the_newest_label_time():
    window = Window(moment("2024-03-01T00:00:00"), moment("2024-03-02T00:00:00"))

    def as_of(newest):
        return AsOf(
            newest, dt.timedelta(days=2), {}, "silver.predicted_quality", 1, "model_version"
        )

    assert not as_of(None).is_past_horizon(window)
    assert not as_of(moment("2024-03-03T23:59:59")).is_past_horizon(window)
    assert as_of(moment("2024-03-04T00:00:00")).is_past_horizon(window)


def test_hours_in_gold_sum_to_what_silver_holds(small):
    hours = [WindowFacts.from_row(row) for row in small.store.rows(small.catalog.window_facts)]
    counted = Counter(
        (row["at"].replace(minute=0, second=0, microsecond=0), row["model_version"])
        for row in raw_rows(small)
    )
    assert {(hour.start, hour.segment.version): hour.quality.n_rows for hour in hours} == counted
