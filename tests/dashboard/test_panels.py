import datetime as dt
import re

import pytest

from lakehouse.dashboard.markup import element
from lakehouse.dashboard.page import PAGES
from lakehouse.dashboard.panels import as_markup, stories
from lakehouse.dashboard.panels.distribution import distribution, quantiles_of, shares
from lakehouse.dashboard.panels.drift import calm_words, drifted
from lakehouse.dashboard.panels.operations import operations
from lakehouse.dashboard.panels.otherwise import otherwise, refusals
from lakehouse.dashboard.panels.overview import fall_levels
from lakehouse.dashboard.panels.performance import label_delay, performance
from lakehouse.dashboard.panels.rollouts import rollouts
from lakehouse.dashboard.panels.value import mean_accuracy
from lakehouse.dashboard.panels.versions import difference_of, versions
from tests.dashboard.models import DAY, FIRST, days, model, moment, noisy, promoted, retrained


def _panel(panels, key):
    [found] = [panel for panel in panels if panel.key == key]
    return found


def _looks(markup):
    return re.findall(r'<path d="[^"]+" class="([^"]+)"', str(markup))


def _text(markup):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", str(markup)))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("n_days", [0, 1, 2])
def test_each_page_is_drawn_of_no_day_of_one_and_of_two(name, n_days):
    for panel in PAGES[name](noisy("glassware", n_days, 1)):
        assert panel.question.endswith("?")
        assert as_markup(panel, model())


@pytest.mark.parametrize("name", PAGES)
def test_no_two_panels_of_a_page_have_one_key_and_each_names_columns_that_its_query_has(name):
    rows = noisy("glassware", 40, 1)
    panels = PAGES[name](rows)
    assert len({panel.key for panel in panels}) == len(panels)
    for panel in panels:
        if panel.query:
            assert set(panel.columns) <= set(rows.answers[panel.query].columns)


@pytest.mark.parametrize("name", PAGES)
def test_what_a_chart_reads_out_are_columns_of_the_table_that_it_names(name):
    rows = noisy("glassware", 40, 1)
    for panel in PAGES[name](rows):
        for table, show in re.findall(r'data-table="(\w+)" data-show="([^"]+)"', panel.body):
            assert set(show.split(",")) <= set(rows.answers[table].columns)


def test_days_whose_labels_may_still_come_are_hollow_and_in_an_area_of_their_own():
    rows = days([0.9, 0.9, 0.8])
    body = _panel(performance(model(daily=rows)), "accuracy").body
    assert "dot-hollow" not in _looks(body)
    rows[-1]["is_final"] = False
    looks = _looks(_panel(performance(model(daily=rows)), "accuracy").body)
    assert looks.count("dot-hollow") == 1
    assert looks.count("area-provisional") == 2  # in the chart, and in its legend


def test_a_change_has_its_interval_and_each_move_its_own_line():
    change = {
        "as_of": moment("2024-03-03"),
        "action": "retrain",
        "change_at": moment("2024-03-02"),
        "change_from": moment("2024-03-01T12:00"),
        "change_to": moment("2024-03-02T12:00"),
    }
    moves = [
        promoted("2024-03-01", "1"),
        promoted("2024-03-02", "2", action="refuse"),
        promoted("2024-03-03", "1", action="rollback"),
    ]
    body = str(
        _panel(
            performance(model(daily=days([0.9] * 4), changes=[change], moves=moves)), "accuracy"
        ).body
    )
    assert '<path d="M0.5 480H1.5V500H0.5z" class="area-change"' in body
    assert '<path d="M1 0V500" class="change"' in body
    assert '<path d="M0 0V500" class="promotion"' in body
    assert '<path d="M1 300V500" class="refusal"' in body
    assert '<path d="M2 0V500" class="rollback"' in body
    assert re.findall(r">(↩?v\d)<title>", body) == ["v1", "↩v1"]


def test_a_regression_shows_its_error_in_place_of_accuracy():
    rows = [row | {"accuracy": None, "root_mean_squared_error": 2.5} for row in days([None] * 3)]
    measures = [{"day": FIRST, "r2_score": 0.8, "mean_average_error": 1.9}]
    panels = performance(model(daily=rows, measures=measures))
    assert _panel(panels, "accuracy").question == "How far off is it, and since when more?"
    assert [panel.key for panel in panels] == [
        "accuracy",
        "labels",
        "mean_average_error",
        "r2_score",
        "moves",
    ]


def test_three_classes_are_mixed_up_in_a_matrix_of_three():
    cells = [
        {"day": FIRST, "label": label, "prediction": prediction, "n": 3}
        for label in "abc"
        for prediction in "abc"
    ]
    body = _panel(performance(model(daily=days([0.3]), confusion=cells)), "confusion").body
    assert str(body).count("<td") == 9


def test_the_confusion_is_of_thirty_days_against_the_thirty_before():
    cells = [
        {"day": FIRST + place * DAY, "label": "1", "prediction": "1", "n": 1} for place in range(60)
    ] + [{"day": FIRST, "label": "1", "prediction": "0", "n": 30}]
    body = _panel(performance(model(daily=days([0.3]), confusion=cells)), "confusion").body
    assert "30 100.0 % (+50.0)" in _text(body)


def test_label_delay_says_how_many_rows_wait_and_how_far_labels_are_behind():
    assert label_delay(days([0.9, 0.9, None, None])) == (
        "200 rows wait for a label. The newest day with most of its labels is 2024-03-02, "
        "2 days behind the newest prediction."
    )
    assert label_delay(days([None])) == "No day has most of its labels; 100 rows wait."
    assert label_delay([]) == "There is no prediction yet."


def _drift(day, index, pvalue, name="temp"):
    return {"day": day, "column_name": name, "drift_index": index, "adjusted_pvalue": pvalue}


def test_a_column_has_drifted_by_size_and_by_test_together():
    assert drifted(_drift(FIRST, 0.2, 0.0001))
    assert not drifted(_drift(FIRST, 0.19, 0.0001))
    assert not drifted(_drift(FIRST, 0.5, 0.01))
    assert not drifted(_drift(FIRST, None, None))


def test_a_column_that_moved_has_two_histograms_over_the_same_bins():
    [panel] = distribution(noisy("glassware", 3, 1), "temp")
    training, newest = re.findall(r'd="([^"]+)" class="(?:area-training|outline)"', panel.body)[:2]
    assert len(training.split("V")) == len(newest.split("V"))
    assert training.startswith("M0 100V4H1")
    assert newest.startswith("M0 100V100H1")
    assert "2024-03-03, 500 rows" in _text(panel.body)
    assert distribution(noisy("glassware", 3, 1), "pressure") == []


def test_all_rows_lie_between_the_least_and_the_greatest_value():
    quantiles = [0.0, 0.0, 1.0, 5.0]
    assert sum(shares(quantiles, [0.0, 1.0, 2.0, 5.0])) == pytest.approx(2 / 3)
    assert sum(shares(quantiles, [-1.0, 1.0, 2.0, 5.0])) == pytest.approx(1.0)
    row = {"min": 3.0, "max": 2.9} | {f"q{each}": 2.95 for each in range(5, 100, 5)}
    assert set(quantiles_of(row)) == {3.0}


def test_where_no_column_moved_before_an_alarm_the_rule_did():
    decisions = [retrained("2024-03-13", "2024-03-11")]
    calm = model(decisions=decisions, drift=[_drift(dt.date(2024, 3, 12), 0.1, 0.5)])
    assert calm_words(calm) == (
        "In the week before the alarm of 2024-03-13, no column moved: the rule did."
    )
    moved = model(decisions=decisions, drift=[_drift(dt.date(2024, 3, 12), 0.4, 0.0)])
    assert calm_words(moved) == "In the week before the alarm of 2024-03-13, temp had moved."
    long_ago = model(decisions=decisions, drift=[_drift(dt.date(2024, 3, 5), 0.4, 0.0)])
    assert "no column moved" in calm_words(long_ago)


def test_a_version_differs_by_its_rows_its_gate_and_where_labels_contradicted_the_one_before():
    configuration = '{"edges": {"temp": [], "score": []}}'
    rows = model(
        monitor=[{"monitor_version": 1, "configuration": configuration}],
        decisions=[
            retrained("2024-03-13", "2024-03-11", region="temp up to 354 is no longer 1")
            | {"challenger": "2", "verdict": "promote"}
        ],
        baselines=[
            {"model_version": version, "column_name": name, "avg": mean, "stddev": 2.0}
            for name in ("temp", "score")
            for version, mean in (("1", 355.0), ("2", 356.0))
        ],
    )
    row = {
        "model_version": "2",
        "from_version": "1",
        "champion_from": moment("2024-03-14"),
        "action": "promote",
        "trained_rows": 900,
        "trained_from": moment("2024-03-01"),
        "trained_to": moment("2024-03-12"),
        "changed_at": None,
        "accuracy": 0.95,
        "accuracy_before": 0.75,
        "rows_compared": 57.0,
        "probability_better": 0.999,
    }
    sentences = [each.replace("\N{NO-BREAK SPACE}", " ") for each in difference_of(rows, row)]
    assert sentences == [
        "Trained on 900 rows from 2024-03-01 to 2024-03-12.",
        "At the gate: 95.0 % right on 57 rows, where v1 has 75.0 %; better with probability 0.999.",
        "New labels contradict the version before: temp up to 354 is no longer 1.",
        "Means of its training rows, against those of v1: temp 355 → 356.",
    ]


def test_a_version_that_predicts_numbers_is_told_by_its_mean_absolute_error():
    row = {
        "model_version": "2",
        "from_version": "1",
        "champion_from": moment("2024-03-14"),
        "action": "promote",
        "mean_absolute_error": 80.11,
        "mean_absolute_error_before": 587.7,
        "rows_compared": 93.0,
    }
    time = {"model_version": "2", "column_name": "seen_at", "data_type": "timestamp"}
    rows = model(history=[row], baselines=[time | {"avg": 1714569300.0}])
    *_, compared, baselines = versions(rows)
    assert difference_of(rows, rows.rows("history")[0])[0] == (
        "At the gate: a mean absolute error of 80.11 on 93 rows, where v1 has 587.7."
    )
    assert "80.11, before 587.7" in compared.body
    assert "2024-05-01 13:15" in baselines.body


def test_a_slice_of_missing_values_is_named_as_in_sql():
    rows = model(
        daily=days([0.9]),
        slices=[
            {"slice_key": "lane", "slice_value": value, "n_labelled": 9, "error_rate": 0.1}
            for value in (None, "")
        ],
    )
    (slices,) = [panel for panel in performance(rows) if panel.key == "slices"]
    assert "lane: NULL<" in slices.body
    assert "lane: <" in slices.body


def test_a_verdict_says_how_many_rows_it_calls_otherwise_where_and_what_labels_say():
    verdict = {"as_of": moment("2024-03-14"), "action": "refuse", "to_version": "3"}
    counts = {"n_differ": 4, "for_challenger": 1, "for_champion": 3}
    rows = model(
        moves=[verdict | {"reason": "worse"}],
        differences=[
            verdict | counts | {"from_version": "2", "n_rows": 50, "change": "lower"},
            verdict | counts | {"region": "a up to 3", "change": "0 instead of 1", "n_rows": 5},
            verdict | counts | {"to_version": "4", "from_version": "2", "n_rows": 9},
        ],
    )
    everywhere, region = otherwise(rows, verdict)
    assert everywhere == (
        "Of 50 rows it calls 4 otherwise than v2, most of them lower: the labels are on its side for 1, on the side "
        "of v2 for 3."
    )
    assert region == (
        "Where a up to 3: 4 of 5, most of them 0 instead of 1; the labels are on its side for 1, "
        "against it for 3."
    )
    assert everywhere in refusals(rows).body


def test_a_rollout_shows_both_versions_with_their_intervals_and_what_came_of_it():
    own = {"rollout_id": "small-2-1", "strategy": "canary", "share": 0.25, "reason": "so it is"}
    figures = {"n_labelled": 200, "n_right": 180, "accuracy": 0.9, "accuracy_low": 0.8}
    figures |= {
        "accuracy_high": 0.95,
        "log_better": 2.0,
        "log_worse": -3.0,
        "needed_better": 2.9957,
    }
    begun, later = moment("2024-03-14"), moment("2024-03-16")
    sides = (("challenger", "2"), ("champion", "1"))
    rows = [
        own | {"side": side, "model_version": version, "as_of": at, "action": action} | more
        for at, action, more in ((begun, "start", {}), (later, "hold", figures))
        for side, version in sides
    ]
    text = _text(rollouts(model(rollouts=rows)).body).replace("\N{NO-BREAK SPACE}", " ")
    assert "Canary since 2024-03-14: it answers 25.0 % of the keys." in text
    assert "The champion, v1: right on 90.0 % of 200 labelled rows, 80.0 % to 95.0 %." in text
    assert (
        "Evidence e^2.0 that it is better, 20 for better needed; e^-3.0 that it is worse." in text
    )
    ended = [
        own | {"side": side, "model_version": version, "as_of": later, "action": "finish"}
        for side, version in sides
    ]
    assert "it took over" in _text(rollouts(model(rollouts=[*rows, *ended])).body)


def test_a_day_is_the_darker_the_further_it_lies_below_the_median():
    values = [0.9, 0.9, 0.9, 0.95, 0.9, 0.87, 0.84, 0.78, 0.6]
    levels = fall_levels([(FIRST + place * DAY, value) for place, value in enumerate(values)])
    assert levels == [0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert fall_levels([]) == []


def test_accuracy_over_days_weighs_each_by_its_labels():
    rows = [
        {"accuracy": 1.0, "n_labelled": 300},
        {"accuracy": 0.0, "n_labelled": 100},
        {"accuracy": None, "n_labelled": 50},
    ]
    assert mean_accuracy(rows, "accuracy") == 0.75
    assert mean_accuracy([], "accuracy") is None


def test_stories_beyond_the_eighth_wait_to_be_opened():
    shown = str(stories([element("article", str(place)) for place in range(10)]))
    assert "2 older ones" in shown
    assert shown.index("<details") < shown.index("<article>8</article>")
    assert "<details" not in stories([element("article", "1")])


def job(name, outcome="ok", **given):
    row = {"job": name, "outcome": outcome, "recorded_at": moment("2026-03-01T12:30")}
    return row | {"seconds": 5.25, "n_runs": 43, "n_failed": 0} | given


def batch(query, number, seconds, **given):
    row = {"query": query, "batch_id": number, "outcome": "ok", "seconds": seconds}
    return row | {"rows_in": 192, "lag_seconds": 1.5, "backlog_files": 0} | given


def test_operations_show_how_the_newest_run_of_each_job_ended():
    failed = job("score", "failed", n_failed=2, error_class="OSError", error="<disk> full")
    panel = _panel(operations(model(jobs=[job("ingest"), failed])), "jobs")
    assert "The newest run of score did not" in panel.note
    assert "ingest ok 2026-03-01 12:30 5.25 43 0" in _text(panel.body)
    assert "score failed 2026-03-01 12:30 5.25 43 2 OSError: &lt;disk&gt; full" in _text(panel.body)


def test_operations_show_a_streams_seconds_throughput_and_what_waits():
    waiting = {"backlog_files": 3, "oldest_waiting_seconds": 90.0}
    # As the query answers: the newest first.
    rows = [
        batch("score", 3, 40.0, outcome="failed", rows_in=None, **waiting),
        *(batch("score", place, seconds) for place, seconds in ((2, 4.0), (1, 2.0), (0, 1.0))),
    ]
    body = _panel(operations(model(batches=[batch("ingest", 0, 0.5), *rows])), "streams").body
    assert "ingest 0.5 0.5 384 1.5 nothing 0" in _text(body)
    assert "score 2 3.8 82.29 1.5 3 files, the oldest for 90 s 1" in _text(body)
    assert len(re.findall('class="loop"', body)) == 2


def test_failed_runs_are_counted_by_job_and_error():
    rows = [
        job("score", "failed", error_class="OSError"),
        job("score", "failed", error_class="OSError"),
        job("score", "killed", error_class=None),
    ]
    text = _text(_panel(operations(model(failures=rows)), "failures").body)
    assert "score: OSError 2 runs" in text
    assert "score: killed 1 run" in text
