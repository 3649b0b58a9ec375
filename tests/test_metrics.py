"""The metric tables against an independent computation from silver with pandas, scikit-learn and SciPy."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from lakehouse.calendar import Window
from lakehouse.statistics.windows import WindowFacts
from lakehouse.steps.aggregate_kpis import specs_of
from lakehouse.steps.metrics import AsOf
from tests.rows import glassware_plant, moment, parcel_depot

PLACES = [("newest", "1 day"), ("newest", "1 week"), ("depot", "30 minutes"), ("depot", "1 day"), ("depot", "1 month")]
WIDTHS = {"1 day": "D", "1 week": "W-SUN", "1 month": "M"}
TEXTS = {True: "true", False: "false"}


def opened(spark, place: str):
    return parcel_depot(spark) if place == "depot" else glassware_plant(spark).at(place)


def raw_rows(lakehouse) -> pd.DataFrame:
    """Predictions with their labels, straight from silver."""
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    labels = store.read(catalog.labels).select(model.key, model.labels.label)
    joined = store.read(catalog.predictions).join(labels, model.key, "left").toPandas()
    joined["moment"] = pd.to_datetime(joined[model.event_time]).dt.tz_localize("UTC")
    return joined


def groups(lakehouse, granularity: str) -> dict[tuple[dt.datetime, str], pd.DataFrame]:
    """The rows of each window and version, and of `*`."""
    rows = raw_rows(lakehouse)
    if granularity in WIDTHS:
        periods = rows["moment"].dt.tz_localize(None).dt.to_period(WIDTHS[granularity])
        starts = periods.dt.start_time.dt.tz_localize("UTC")
    else:
        starts = rows["moment"].dt.floor("30min")
    found = {(start.to_pydatetime(), "*"): part for start, part in rows.groupby(starts)}
    by_version = rows.groupby([starts, rows["model_version"]])
    return found | {(start.to_pydatetime(), version): part for (start, version), part in by_version}


def table_rows(lakehouse, table, granularity: str) -> dict:
    return {
        (row["window"]["start"], row["model_version"], row["column_name"], row.get("drift_type")): row
        for row in lakehouse.store.rows(table)
        if row["granularity"] == granularity and row["slice_key"] is None
    }


@pytest.fixture(scope="module", params=PLACES, ids=" ".join)
def computed(request, spark):
    """A lakehouse, its rows by window and version, and its rows of both metric tables."""
    place, granularity = request.param
    lakehouse = opened(spark, place)
    catalog = lakehouse.catalog
    profile = table_rows(lakehouse, catalog.profile_metrics, granularity)
    drift = table_rows(lakehouse, catalog.drift_metrics, granularity)
    return lakehouse, groups(lakehouse, granularity), profile, drift


def test_there_is_one_row_for_each_window_version_and_column(computed):
    lakehouse, parts, profile, _ = computed
    names = [":table", *(spec.name for spec in specs_of(lakehouse.model))]
    assert set(profile) == {(start, version, name, None) for start, version in parts for name in names}
    assert {version for _, version in parts} >= {"1", "*"}


def test_counts_and_labels_are_those_of_silver(computed):
    lakehouse, parts, profile, _ = computed
    label = lakehouse.model.labels.label
    for (start, version), part in parts.items():
        row = profile[start, version, ":table", None]
        n_labelled = int(part[label].notna().sum())
        assert (row["count"], row["n_labelled"]) == (len(part), n_labelled)
        assert row["label_coverage"] == n_labelled / len(part)
        filled = [name for name in (spec.name for spec in specs_of(lakehouse.model)) if part[name].notna().any()]
        assert sorted(row["non_null_columns"]) == sorted(filled)


def test_quality_is_scikit_learns(computed):
    lakehouse, parts, profile, _ = computed
    model = lakehouse.model
    judged = 0
    for (start, version), part in parts.items():
        row = profile[start, version, ":table", None]
        known = part[part[model.labels.label].notna()]
        if known.empty:
            assert row["accuracy_score"] is None
            assert row["confusion_matrix"] is None
            continue
        judged += 1
        truth, predicted = (known[name].map(model.classes.index) for name in (model.labels.label, "prediction"))
        scores = np.array([[each[str(c)] for c in model.classes] for each in known["probability"]])
        assert_quality(row, truth.to_numpy(), predicted.to_numpy(), scores, model.classes)
    assert judged >= 3


def assert_quality(row, truth, predicted, scores, classes) -> None:
    codes = range(len(classes))
    counts = confusion_matrix(truth, predicted, labels=codes)
    expected = {(str(classes[p]), str(classes[t])): counts[t, p] for p in codes for t in codes if counts[t, p]}
    assert {(cell["prediction"], cell["label"]): cell["count"] for cell in row["confusion_matrix"]} == expected
    assert row["accuracy_score"] == accuracy_score(truth, predicted)
    assert row["log_loss"] == pytest.approx(log_loss(truth, scores, labels=codes), rel=1e-9, abs=1e-12)
    for name, metric in (("precision", precision_score), ("recall", recall_score), ("f1_score", f1_score)):
        for average in ("macro", "weighted"):
            value = metric(truth, predicted, average=average, zero_division=0)
            assert row[name][average] == pytest.approx(value, rel=1e-9)
        present = sorted(set(truth) | set(predicted))
        by_class = metric(truth, predicted, labels=present, average=None, zero_division=0)
        assert dict(row[name]["one_vs_all"]) == pytest.approx(
            {str(classes[c]): v for c, v in zip(present, by_class, strict=True)}, rel=1e-9
        )
    if len(classes) == 2:
        assert row["brier_score"] == pytest.approx(brier_score_loss(truth, scores[:, 1]), rel=1e-9)
        assert_auc(row["roc_auc_score"], truth, scores, [1])
    else:
        distances = ((scores - np.eye(len(classes))[truth]) ** 2).sum(axis=1)
        assert row["brier_score"] == pytest.approx(distances.mean(), rel=1e-9, abs=1e-12)
        assert_auc(row["roc_auc_score"], truth, scores, codes)


def assert_auc(found, truth, scores, codes) -> None:
    """Within the histograms' resolution of the mean one-vs-rest AUC of the classes that have one."""
    areas, errors = [], []
    for code in codes:
        is_positive = truth == code
        if is_positive.all() or not is_positive.any():
            continue
        odds = np.clip(np.log(scores[:, code]) - np.log1p(-scores[:, code]), -8, 8)
        bins = np.minimum(np.floor((odds + 8) * 25), 399)
        areas.append(roc_auc_score(is_positive, scores[:, code]))
        errors.append((bins[is_positive][:, None] == bins[~is_positive][None, :]).mean() / 2)
    if not areas:
        assert found is None
        return
    assert found == pytest.approx(np.mean(areas), abs=np.mean(errors) + 1e-12)


def test_statistics_of_columns_are_those_of_pandas(computed):
    lakehouse, parts, profile, _ = computed
    for spec in specs_of(lakehouse.model):
        for (start, version), part in parts.items():
            row, values = profile[start, version, spec.name, None], part[spec.name].dropna()
            assert (row["count"], row["num_nulls"]) == (len(values), len(part) - len(values))
            assert row["distinct_count"] == values.nunique()
            assert row["percent_null"] == pytest.approx(100 * (1 - len(values) / len(part)), abs=1e-9)
            assert row["percent_distinct"] == pytest.approx(100 * values.nunique() / len(part))
            assert row["data_type"] == spec.data_type
            if spec.is_categorical:
                counts = values.map(text).value_counts().to_dict()
                assert {item["item"]: item["count"] for item in row["frequent_items"]} == counts
            if not spec.is_text and len(values):
                assert_numbers(row, as_numbers(values))
            if spec.is_text and len(values):
                assert (row["min_length"], row["max_length"]) == (values.str.len().min(), values.str.len().max())
                assert row["avg_length"] == pytest.approx(values.str.len().mean())


def as_numbers(values: pd.Series) -> pd.Series:
    """Timestamps are epoch seconds."""
    is_time = pd.api.types.is_datetime64_any_dtype(values)
    return (values - pd.Timestamp(0)) / pd.Timedelta(seconds=1) if is_time else values.astype(float)


def text(value) -> str:
    return TEXTS[value] if isinstance(value, bool) else str(int(value)) if isinstance(value, float) else str(value)


def assert_numbers(row, numbers: pd.Series) -> None:
    assert row["avg"] == pytest.approx(numbers.mean(), rel=1e-9)
    assert (row["min"], row["max"]) == (numbers.min(), numbers.max())
    assert row["num_zeros"] == (numbers == 0).sum()
    assert row["num_nan"] == 0
    if len(numbers) > 1:
        assert row["stddev"] == pytest.approx(numbers.std(), rel=1e-9, abs=1e-12)
    assert row["median"] == pytest.approx(numbers.median(), rel=1e-12)
    expected = np.quantile(numbers, np.arange(1000) / 1000, method="averaged_inverted_cdf")
    np.testing.assert_allclose(row["quantiles"], expected, rtol=1e-12)


def test_drift_is_scipys(computed):
    lakehouse, parts, _, drift = computed
    specs = {spec.name: spec for spec in specs_of(lakehouse.model)}
    baselines = {v: baseline_of(lakehouse, v) for v in {version for _, version in parts} - {"*"}}
    compared = {"BASELINE": 0, "CONSECUTIVE": 0}
    granularity = next(row["granularity"] for row in drift.values())
    for (start, version, name, kind), row in drift.items():
        part = parts[start, version]
        newest = max(part["model_version"], key=int)
        before = parts.get((start_before(start, granularity), version))
        if name == ":table":
            n_reference = len(before) if kind == "CONSECUTIVE" else baselines[newest][next(iter(specs))]["rows"]
            assert row["count_delta"] == len(part) - n_reference
            continue
        bins = baselines[newest][name]
        if not bins["edges"] and not specs[name].is_categorical:  # no baseline has counted it in bins yet
            assert row["ks_test"] is None
            continue
        current = histogram(part[name], specs[name], bins)
        reference = bins["counts"] if kind == "BASELINE" else histogram(before[name], specs[name], bins)
        assert_drift(row, specs[name], current, reference)
        if kind == "CONSECUTIVE" and not specs[name].is_categorical:
            now, then = as_numbers(part[name].dropna()), as_numbers(before[name].dropna())
            if len(now) and len(then):
                assert row["wasserstein_distance"] == pytest.approx(wasserstein_distance(now, then), rel=1e-9)
                assert row["avg_delta"] == pytest.approx(now.mean() - then.mean(), rel=1e-9, abs=1e-9)
        compared[kind] += 1
    assert compared["BASELINE"] > 0
    assert compared["CONSECUTIVE"] > 0 or granularity == "1 month"
    keys = {(start, version, kind) for start, version, _, kind in drift}
    assert {(s, v) for s, v, kind in keys if kind == "BASELINE"} == set(parts)
    assert {(s, v) for s, v, kind in keys if kind == "CONSECUTIVE"} == {
        (s, v) for s, v in parts if (start_before(s, granularity), v) in parts
    }


def start_before(start: dt.datetime, granularity: str) -> dt.datetime:
    if granularity not in WIDTHS:
        return start - dt.timedelta(minutes=30)
    period = pd.Period(start.replace(tzinfo=None), WIDTHS[granularity]) - 1
    return period.start_time.to_pydatetime().replace(tzinfo=dt.UTC)


def baseline_of(lakehouse, version: str) -> dict:
    """From the version's JSON: edges and counts of numeric columns, items of the others."""
    document = lakehouse.registry.baseline(lakehouse.registry.version(version))
    return {
        column["name"]: {
            "edges": column["bin_edges"],
            "counts": column["bin_counts"] or column["items"],
            "rows": column["count"] + column["num_nulls"],
        }
        for column in document["columns"]
    }


def histogram(values: pd.Series, spec, bins):
    if spec.is_categorical:
        return values.dropna().map(text).value_counts().to_dict()
    edges = [-np.inf, *bins["edges"], np.inf]
    return pd.cut(as_numbers(values.dropna()), edges, right=True).value_counts(sort=False).to_numpy()


def assert_drift(row, spec, current, reference) -> None:
    if spec.is_categorical:
        names = sorted({*current, *reference})
        p, q = (np.array([side.get(name, 0) for name in names]) for side in (current, reference))
        if not (p.sum() and q.sum()):
            assert row["chi_squared_test"] is None
            return
        assert row["tv_distance"] == pytest.approx(np.abs(p / p.sum() - q / q.sum()).sum() / 2, abs=1e-12)
        assert row["l_infinity_distance"] == pytest.approx(np.abs(p / p.sum() - q / q.sum()).max(), abs=1e-12)
        assert row["js_distance"] == pytest.approx(jensenshannon(p, q), abs=1e-7)
        test = chi2_contingency([p, q], correction=False)
        assert row["chi_squared_test"]["statistic"] == pytest.approx(test.statistic, rel=1e-9, abs=1e-9)
        assert row["chi_squared_test"]["pvalue"] == pytest.approx(test.pvalue, rel=1e-9, abs=1e-12)
        assert row["population_stability_index"] is None
        return
    p, q = np.array(current), np.array(reference)
    if not (p.sum() and q.sum()):
        assert row["ks_test"] is None
        return
    places = np.arange(len(p))
    method = "exact" if p.sum() * q.sum() <= 10**6 else "asymp"
    ks = ks_2samp(np.repeat(places, p), np.repeat(places, q), method=method)
    assert row["ks_test"]["statistic"] == pytest.approx(ks.statistic, abs=1e-12)
    assert row["ks_test"]["pvalue"] == pytest.approx(ks.pvalue, abs=2e-5)
    share, other = np.maximum(p / p.sum(), 1e-4), np.maximum(q / q.sum(), 1e-4)
    psi = ((share - other) * np.log(share / other)).sum()
    assert row["population_stability_index"] == pytest.approx(psi, rel=1e-9, abs=1e-12)
    assert row["chi_squared_test"] is None


def test_a_slice_is_the_rows_of_its_value(spark):
    lakehouse = opened(spark, "depot")
    table = lakehouse.store.rows(lakehouse.catalog.profile_metrics)
    found = {
        (row["window"]["start"], row["slice_key"], row["slice_value"], row["column_name"]): row
        for row in table
        if row["granularity"] == "1 day" and row["model_version"] == "*" and row["slice_key"]
    }
    expected = set()
    for start, day in raw_rows(lakehouse).groupby(raw_rows(lakehouse)["moment"].dt.floor("D")):
        heavy = day["grams"].map(lambda grams: None if pd.isna(grams) else str(grams > 50).lower())
        for key, values in (("lane", day["lane"]), ("grams > 50", heavy)):
            for value, part in day.groupby(values.astype(object).where(values.notna(), None), dropna=False):
                slice_ = (start.to_pydatetime(), key, None if pd.isna(value) else value)
                expected.add(slice_)
                known = part[part["outcome"].notna()]
                table_row, grams = found[(*slice_, ":table")], found[(*slice_, "grams")]
                assert (table_row["count"], table_row["n_labelled"]) == (len(part), len(known))
                accuracy = (known["prediction"] == known["outcome"]).mean()
                assert table_row["accuracy_score"] == (pytest.approx(accuracy) if len(known) else None)
                assert grams["avg"] == (pytest.approx(part["grams"].mean()) if grams["count"] else None)
    assert {key[:3] for key in found} == expected
    assert len(expected) > 8


def test_a_window_is_final_when_no_label_can_come_any_more(computed):
    lakehouse, parts, profile, _ = computed
    model = lakehouse.model
    newest = lakehouse.store.read(lakehouse.catalog.labels).agg({model.labels.time: "max"}).first()[0]
    as_of = newest.replace(tzinfo=dt.UTC)
    states = set()
    for (start, version, name, _), row in profile.items():
        if name == ":table":
            complete = parts[start, version][model.labels.label].notna().all()
            assert row["is_final"] == (complete or row["window"]["end"] + model.labels.horizon <= as_of)
            states.add(row["is_final"])
    assert states == ({True, False} if len(parts) > 6 else states)


def test_windows_that_a_version_was_trained_on_are_marked(computed):
    lakehouse, parts, profile, _ = computed
    for (start, version), part in parts.items():
        until = {v: lakehouse.registry.version(v).record.trained_to for v in part["model_version"].unique()}
        seen = any(at <= until[v] for at, v in zip(part["moment"], part["model_version"], strict=True))
        assert profile[start, version, ":table", None]["in_training_window"] == seen


def test_each_version_has_the_baseline_rows_of_its_training_data(spark):
    for place in ("newest", "depot"):
        lakehouse = opened(spark, place)
        rows = lakehouse.store.rows(lakehouse.catalog.profile_metrics)
        found = [row for row in rows if row["log_type"] == "BASELINE"]
        names = [":table", *(spec.name for spec in specs_of(lakehouse.model))]
        versions = {row["model_version"] for row in lakehouse.store.rows(lakehouse.catalog.scoring_ledger)}
        assert sorted((row["model_version"], row["column_name"]) for row in found) == sorted(
            (version, name) for version in versions for name in names
        )
        assert all(row["window"] is None and row["granularity"] is None for row in found)
        for row in found:
            if row["column_name"] == ":table":
                assert row["count"] == lakehouse.registry.version(row["model_version"]).record.trained_rows


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
def test_every_published_column_is_there_with_its_type(spark, name):
    lakehouse = opened(spark, "newest")
    found = lakehouse.store.read(getattr(lakehouse.catalog, name)).schema
    kinds = {field.name: field.dataType.simpleString() for field in found}
    published = dict(re.split(r"\s+", column.strip(), maxsplit=1) for column in PUBLISHED[name].split("|"))
    assert {column: kinds.get(column) for column in published} == published


def test_rows_say_which_versions_they_were_computed_from(spark):
    lakehouse = opened(spark, "newest")
    for row in lakehouse.store.rows(lakehouse.catalog.profile_metrics):
        read = dict(row["as_of_version"] or {})
        if row["log_type"] == "INPUT":
            assert set(read) == {"silver.predicted_quality", "silver.quality_check"}
            assert row["logging_table_commit_version"] == read["silver.predicted_quality"]
            assert row["window_date"] == row["window"]["start"].date()


def test_the_state_of_a_window_is_decided_by_the_newest_label_time():
    window = Window(moment("2024-03-01T00:00:00"), moment("2024-03-02T00:00:00"))

    def as_of(newest):
        return AsOf(newest, dt.timedelta(days=2), {}, "silver.predicted_quality", 1, "model_version")

    assert not as_of(None).is_past_horizon(window)
    assert not as_of(moment("2024-03-03T23:59:59")).is_past_horizon(window)
    assert as_of(moment("2024-03-04T00:00:00")).is_past_horizon(window)


def test_hours_in_gold_sum_to_what_silver_holds(spark):
    lakehouse = opened(spark, "newest")
    hours = [WindowFacts.from_row(row) for row in lakehouse.store.rows(lakehouse.catalog.window_facts)]
    rows = raw_rows(lakehouse)
    counted = rows.groupby([rows["moment"].dt.floor("h"), "model_version"]).size()
    assert {(hour.start, hour.segment.version): hour.quality.n_rows for hour in hours} == {
        (start.to_pydatetime(), version): n for (start, version), n in counted.items()
    }
