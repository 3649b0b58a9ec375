"""What the page tells is what pandas and scipy compute from the same rows."""

import datetime as dt
from dataclasses import replace
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from scipy.stats import binomtest

from lakehouse.drift.comparison import drift_of
from lakehouse.errors import ConfigurationError
from lakehouse.explore import answers as module
from lakehouse.explore.answers import findings_of
from lakehouse.explore.findings import Findings
from lakehouse.explore.measures import cramers_v
from lakehouse.explore.page import pages_of
from lakehouse.explore.relations import spec_of
from lakehouse.explore.subject import Column, Span
from lakehouse.profiling.profile import ColumnProfile
from tests.explore.lakehouses import FIRST, labelled, subject, times, write
from tests.explore.works import COLUMNS, EVIL, Works, graded, priced

FIRST_HALF, SECOND_HALF = Span(None, dt.date(2024, 3, 10)), Span(dt.date(2024, 3, 11), None)


@pytest.fixture(scope="module")
def works() -> Works:
    return graded()


@pytest.fixture(scope="module")
def found(works: Works) -> Findings:
    return findings_of(works.root, works.subject, [Span()])


def _finite(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    return numbers[np.isfinite(numbers)]


def test_the_extent_counts_rows_and_labels(works: Works, found: Findings) -> None:
    (row,) = found.rows("extent")
    assert (
        (row["n_rows"], row["n_labelled"]) == (3000, works.rows.grade.notna().sum()) == (3000, 2850)
    )
    assert (row["first"], row["last"]) == (works.rows["at"].min(), works.rows["at"].max())


def test_numbers_are_summed_up_as_pandas_does(works: Works, found: Findings) -> None:
    own = {row["column_name"]: row for row in found.rows("numbers")}
    assert set(own) == {"heat", "panels", COLUMNS[4].name}
    for name, row in own.items():
        values = _finite(works.rows[name])
        raw = works.rows[name]
        assert row["n_null"] == sum(value is None for value in raw)
        assert row["n_not_finite"] == 3000 - row["n_null"] - len(values)
        assert row["n_zero"] == (values == 0).sum()
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert row["mean"] == pytest.approx(values.mean())
        assert row["stddev"] == pytest.approx(values.std())
        quantiles = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
        assert [row[key] for key in ("p5", "p25", "median", "p75", "p95")] == pytest.approx(
            quantiles
        )
        assert row["about_distinct"] == pytest.approx(values.nunique(), rel=0.2)
    heat = _finite(works.rows.heat)
    assert own["heat"]["n_outside"] == ((heat < -2) | (heat > 2)).sum() > 0
    assert own["heat"]["n_not_finite"] == 3
    assert own["panels"]["n_outside"] is None


def test_kinds_are_counted_with_what_is_missing(works: Works, found: Findings) -> None:
    for name in ("line_name", "is_hot", "grade"):
        texts = works.rows[name].map({True: "true", False: "false"}).fillna(works.rows[name])
        expected = texts.fillna("no value").value_counts().to_dict()
        rows = [row for row in found.rows("kinds") if row["column_name"] == name]
        assert {row["value"]: row["n"] for row in rows} == expected
        assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_a_number_over_time_is_its_quantiles_by_day(works: Works, found: Findings) -> None:
    name = COLUMNS[4].name
    by_day = works.rows.groupby(works.rows["at"].dt.floor("D"))[name]
    rows = found.rows(f"time-{found.place(COLUMNS[4])}")
    assert [row["start"] for row in rows] == list(by_day.groups)
    for key, share in (("p5", 0.05), ("median", 0.5), ("p95", 0.95)):
        assert [row[key] for row in rows] == pytest.approx(by_day.quantile(share).tolist())
    assert sum(row["n"] for row in rows) == 3000


def test_kinds_over_time_are_shares_of_what_is_known(works: Works, found: Findings) -> None:
    known = works.rows[works.rows.grade.notna()]
    expected = known.groupby([known["at"].dt.floor("D"), "grade"]).size()
    expected = expected / expected.groupby(level=0).transform("sum")
    rows = found.rows("time-0")
    assert {(row["start"], row["value"]): pytest.approx(row["share"]) for row in rows} == dict(
        expected
    )


@pytest.mark.parametrize(
    ("days", "unit"),
    [(3, dt.timedelta(hours=1)), (20, dt.timedelta(days=1)), (900, dt.timedelta(7))],
)
def test_stretches_of_time_follow_from_the_span(tmp_path, days: int, unit: dt.timedelta) -> None:
    about = subject([Column("x", "double")], Column("y", "integer", (0, 1)))
    rows = pd.DataFrame({"id": range(500), "at": times(500, days), "x": np.arange(500.0)})
    write(tmp_path, about, rows)
    found = findings_of(tmp_path, about, [Span()])
    assert found.plan.width == unit
    starts = [row["start"] for row in found.rows("time-1")]
    assert all((b - a) % unit == dt.timedelta() for a, b in pairwise(starts))
    if unit.days == 7:
        assert {start.weekday() for start in starts} == {0}
        assert starts[0] <= FIRST < starts[0] + unit


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_the_share_of_each_class_by_bin_has_wilson_s_interval(
    works: Works, found: Findings, column: Column
) -> None:
    known = works.rows[works.rows.grade.notna()]
    bins = found.bins(column)
    if bins.is_number:
        numbers = pd.to_numeric(known[column.name], errors="coerce").astype(float)
        codes = np.searchsorted(np.array(bins.edges), numbers, side="left")
        codes = np.where(np.isfinite(numbers), codes, bins.size)
    else:
        places = {value: place for place, value in enumerate(bins.values)}
        codes = known[column.name].map(places).fillna(bins.size).astype(int).to_numpy()
    rows = found.rows(f"bins-{found.place(column)}")
    assert {row["class"] for row in rows} == {"good", EVIL, "über"}
    for row in rows:
        own = known.grade[codes == row["code"]]
        assert (row["n_rows"], row["n"]) == (len(own), (own == row["class"]).sum())
        interval = binomtest(row["n"], row["n_rows"]).proportion_ci(0.95, "wilson")
        assert (row["low"], row["high"]) == pytest.approx(tuple(interval), abs=1e-9)
        assert row["bin"] == bins.words[row["code"]]
    assert sum(row["n"] for row in rows) == len(known)


def test_the_mean_of_a_number_by_bin_is_pandas_s() -> None:
    works = priced()
    found = findings_of(works.root, works.subject, [Span()])
    rows = found.rows(f"bins-{found.place(COLUMNS[1])}")
    by_panels = works.rows.groupby("panels").cost
    assert [row["bin"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["mean"] for row in rows] == pytest.approx(by_panels.mean().tolist())
    assert [row["p95"] for row in rows] == pytest.approx(by_panels.quantile(0.95).tolist())
    told = found.rows("told")
    assert told[0]["column_name"] == "panels"
    assert told[0]["correlation"] == pytest.approx(works.rows.panels.corr(works.rows.cost))


def test_cells_of_pairs_are_those_of_a_crosstab(works: Works, found: Findings) -> None:
    known = works.rows[works.rows.grade.notna() & works.rows.line_name.notna()]
    own = [row for row in found.rows("pairs") if (row["x"], row["y"]) == ("line_name", "is_hot")]
    assert len(own) == 8
    words = known.is_hot.map({True: "true", False: "false"})
    for row in own:
        cell = known[(known.line_name == row["x_bin"]) & (words == row["y_bin"])]
        assert row["n_rows"] == len(cell)
        assert row["share"] == pytest.approx((cell.grade == found.focus_words).mean())
    assert found.focus_words == works.rows.grade.value_counts().idxmax()


def test_association_is_computed_from_the_same_bins(works: Works, found: Findings) -> None:
    table = pd.crosstab(works.rows.panels, works.rows.grade)
    told = {row["column_name"]: row for row in found.rows("told")}
    assert told["panels"]["cramers_v"] == pytest.approx(cramers_v(table.to_numpy()))
    assert found.rows("told")[0]["column_name"] == COLUMNS[4].name
    pair = next(r for r in found.rows("between") if {r["x"], r["y"]} == {"panels", COLUMNS[4].name})
    expected = works.rows.panels.corr(works.rows[COLUMNS[4].name])
    assert pair["correlation"] == pytest.approx(expected)
    both = pd.crosstab(works.rows.line_name.fillna("-"), works.rows.is_hot).to_numpy()
    pair = next(r for r in found.rows("between") if (r["x"], r["y"]) == ("line_name", "is_hot"))
    assert pair["cramers_v"] == pytest.approx(cramers_v(both))


def test_the_delay_of_labels_is_the_time_between(works: Works, found: Findings) -> None:
    hours = (works.rows.told - works.rows["at"]) / pd.Timedelta(hours=1)
    (row,) = found.rows("delays")
    assert row["q"] == pytest.approx(hours.quantile([0.05, 0.5, 0.95, 0.99]).tolist())
    late = works.rows.told.isna() & (
        works.rows["at"] < works.rows.told.max() - pd.Timedelta(days=2)
    )
    assert found.rows("extent")[0]["n_overdue"] == late.sum() > 0
    assert sum(each["n"] for each in found.rows("delay")) == hours.notna().sum()
    by_day = hours.groupby(works.rows["at"].dt.floor("D"))
    own = found.rows("delay_time")
    assert [each["n_waiting"] for each in own] == by_day.apply(
        lambda day: day.isna().sum()
    ).tolist()
    medians = [each["median"] for each in own if each["median"] is not None]
    assert medians == pytest.approx(by_day.median().dropna().tolist())


def test_lines_that_were_turned_away_are_counted_by_reason(found: Findings) -> None:
    own = [(row["reason"], row["n"]) for row in found.rows("rejected")]
    assert own == [(EVIL, 2), ("malformed JSON", 1)]
    (day,) = found.rows("rejected_days")
    assert (day["day"], day["n_rejected"], day["n_duplicate"]) == (FIRST.date(), 3, 0)


def test_two_spans_are_told_apart_and_drift_is_that_of_the_monitor(works: Works) -> None:
    found = findings_of(works.root, works.subject, [SECOND_HALF, FIRST_HALF])
    is_first = works.rows["at"] < pd.Timestamp("2024-03-11", tz="UTC")
    assert [row["n_rows"] for row in found.rows("extent")] == [(~is_first).sum(), is_first.sum()]
    own = {row["column_name"]: row for row in found.rows("moved")}
    for column in works.subject.all_columns:
        edges = found.bins(column).edges
        if edges is None and not column.is_category:
            continue
        now, before = (
            ColumnProfile.of(
                pa.array(list(works.rows[column.name][part]), from_pandas=False),
                spec_of(column),
                edges,
            )
            for part in (~is_first, is_first)
        )
        drift = drift_of(now, before)
        index = drift["population_stability_index"] or drift["tv_distance"]
        assert own[column.name]["drift_index"] == pytest.approx(index), column
        assert own[column.name]["avg_delta"] == pytest.approx(drift["avg_delta"]), column
    indices = [row["drift_index"] for row in found.rows("moved")]
    assert indices == sorted(indices, reverse=True)


def test_spans_that_overlap_have_their_rows_both(works: Works) -> None:
    found = findings_of(works.root, works.subject, [FIRST_HALF, Span()])
    counts = [row["n_rows"] for row in found.rows("extent")]
    assert counts[1] == 3000 > counts[0] > 0


def test_of_a_corrected_label_the_one_told_last_counts(tmp_path) -> None:
    about = subject([Column("x", "double")], Column("y", "integer", (0, 1)))
    rows = pd.DataFrame({"id": range(100), "at": times(100), "x": np.arange(100.0)})
    write(tmp_path, about, rows, labelled(rows, "y", [0] * 100))
    table = DeltaTable(f"{tmp_path}/silver/truth")
    old = table.to_pyarrow_table().slice(0, 10).to_pandas()
    new = old.assign(
        told=old.told + pd.Timedelta(days=1), y=1, is_correction=1, line=old.line + 100
    )
    write_deltalake(
        table, pa.Table.from_pandas(new, table.to_pyarrow_table().schema), mode="append"
    )
    found = findings_of(tmp_path, about, [Span()])
    assert found.rows("extent")[0]["n_labelled"] == 100
    assert {row["value"]: row["n"] for row in found.rows("kinds")} == {"0": 90, "1": 10}


def test_by_another_column_the_label_is_one_of_those_that_are_looked_at(works: Works) -> None:
    about = replace(works.subject, by=COLUMNS[2], columns=(works.subject.label, *COLUMNS[:2]))
    found = findings_of(works.root, about, [Span()])
    known = works.rows[works.rows.line_name.notna()]
    rows = [row for row in found.rows("bins-1") if row["class"] == "süd" and row["bin"] == "good"]
    assert rows[0]["n"] == ((known.line_name == "süd") & (known.grade == "good")).sum()


def test_many_rows_are_looked_at_in_part_and_the_page_says_so(works: Works, monkeypatch) -> None:
    monkeypatch.setattr(module, "QUANTILE_VALUES", 3 * 1500)
    monkeypatch.setattr(module, "PAIR_ROWS", 1000)
    found = findings_of(works.root, works.subject, [Span()])
    assert found.plan.part == 512
    assert found.rows("extent")[0]["n_rows"] == 3000
    note = next(p.note for p in pages_of(found)["overview"] if p.key == "numbers")
    assert "Quantiles are of 50.0\N{NO-BREAK SPACE}% of the rows" in note
    assert "off by less than 2.58\N{NO-BREAK SPACE}%" in note  # 1500 ** -0.5
    exact = works.rows[COLUMNS[4].name]
    row = next(r for r in found.rows("numbers") if r["column_name"] == COLUMNS[4].name)
    assert row["mean"] == pytest.approx(exact.mean())
    assert row["median"] == pytest.approx(exact.median(), abs=0.4)
    assert row["median"] != exact.median()
    assert found.rows("told")[0]["n_rows"] < 1200
    hours = (works.rows.told - works.rows["at"]) / pd.Timedelta(hours=1)
    late = found.rows("delays")[0]["q"][1]
    assert late == pytest.approx(hours.median(), abs=2)
    assert late != pytest.approx(hours.median(), abs=1e-9)


@pytest.mark.parametrize("make", [graded, priced])
@pytest.mark.parametrize("spans", [[Span()], [SECOND_HALF, FIRST_HALF]], ids=["one", "two"])
def test_the_statement_of_each_panel_gives_its_rows_from_the_tables_alone(make, spans) -> None:
    works = make()
    found = findings_of(works.root, works.subject, spans)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA silver")
        for name in ("reading", "truth", "quarantine", "duplicate"):
            files = DeltaTable(f"{works.root}/silver/{name}").file_uris()
            source = (
                f"read_parquet({files})"
                if files
                else "(SELECT NULL::VARCHAR AS source, NULL::VARCHAR[] AS reasons, NULL::TIMESTAMPTZ AS landed_at WHERE FALSE)"
            )
            connection.execute(f"CREATE VIEW silver.{name} AS SELECT * FROM {source}")
        for name, answer in found.model.answers.items():
            if name == "rule":  # statements of other panels, for each column that it names
                assert answer.sql.count("WITH readings") == len(answer.rows)
                continue
            rows = connection.execute(answer.sql).fetch_arrow_table().to_pylist()
            if name in ("told", "between", "moved"):  # computed from the rows that it gives
                assert len(rows) == 3000, name
                continue
            assert len(rows) == len(answer.rows), name
            for given, shown in zip(rows, answer.rows, strict=True):
                assert list(given) == list(shown)
                assert all(map(_alike, given.values(), shown.values())), (name, given, shown)


def _alike(a: Any, b: Any) -> bool:
    return a == b or str(a) == str(b) or abs(a - b) <= 1e-9 * abs(b)


def test_a_column_that_the_table_does_not_have_yet_is_empty(works: Works) -> None:
    about = replace(works.subject, columns=(*COLUMNS, Column("new", "double")))
    row = next(
        row
        for row in findings_of(works.root, about, [Span()]).rows("numbers")
        if row["column_name"] == "new"
    )
    assert (row["n_null"], row["median"]) == (3000, None)


def test_another_model_s_lakehouse_and_none_are_errors_that_say_what_to_write(
    works, tmp_path
) -> None:
    with pytest.raises(ConfigurationError, match="holds the model works; write its YAML file"):
        findings_of(works.root, replace(works.subject, name="other"), [Span()])
    with pytest.raises(ConfigurationError, match="holds no lakehouse"):
        findings_of(tmp_path, works.subject, [Span()])
