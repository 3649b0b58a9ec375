from lakehouse.dashboard.panels.health import alarm_words, headline, health_of, worst_first
from tests.dashboard.models import alarm, days, model, moment, promoted, retrained


def _line(name, **rows):
    return health_of(model(name, **rows), name)


def test_the_headline_counts_the_models_that_have_an_open_alarm():
    well, ill = _line("a"), _line("b", alarms=[alarm("drift")])
    assert headline([ill, well]) == "1 of 2 models needs somebody"
    assert headline([ill, ill, *[well] * 4]) == "2 of 6 models need somebody"
    assert headline([well, well]) == "No model needs anybody"
    assert headline([]) == "There is no model"


def test_the_worst_comes_first_by_its_alarm_and_then_by_its_fall():
    lines = [
        _line("well", daily=days([0.9] * 8)),
        _line("fell", daily=days([0.9] * 7 + [0.8])),
        _line("drifted", alarms=[alarm("drift")]),
        _line("stale", alarms=[alarm("drift"), alarm("retraining")]),
        _line("waits", alarms=[alarm("approval")]),
    ]
    assert [line.name for line in worst_first(lines)] == [
        "stale",
        "waits",
        "drifted",
        "fell",
        "well",
    ]


def test_a_regression_whose_error_rises_comes_before_one_whose_error_falls():
    errors = {"rises": [2.0] * 7 + [3.0], "falls": [2.0] * 7 + [1.0]}
    lines = [
        _line(
            name,
            daily=[
                row | {"accuracy": None, "root_mean_squared_error": error}
                for row, error in zip(days([None] * 8), values, strict=True)
            ],
        )
        for name, values in errors.items()
    ]
    assert [line.name for line in worst_first(lines)] == ["rises", "falls"]
    assert [line.moved for line in lines] == [1.0, -1.0]


def test_quality_is_that_of_the_newest_final_day_against_the_week_before():
    rows = days([0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.1])
    rows[-1]["is_final"] = False
    line = _line("a", daily=rows)
    assert line.quality == 0.8
    assert round(line.moved, 6) == -0.1


def test_an_open_alarm_tells_its_story_and_an_answered_one_does_not():
    rows = {
        "daily": days([0.95] * 10 + [0.75] * 2),
        "decisions": [retrained("2024-03-14", "2024-03-11T06:00:00")],
    }
    assert _line("a", **rows).story.startswith("The rule changed 2024-03-11 06:00.")
    assert _line("a", **rows, moves=[promoted("2024-03-14", "2")]).story == ""


def test_an_alarm_says_since_when_and_labels_that_are_overdue_say_their_day_once():
    assert alarm_words(alarm("drift")) == "temp has drifted, since 2024-03-05"
    assert alarm_words(alarm("file", subject="a.jsonl", since=moment("2024-03-05T07:30"))) == (
        "A landed file is odd: a.jsonl, since 2024-03-05 07:30"
    )
    overdue = alarm("labels overdue", subject="2024-03-05")
    assert alarm_words(overdue) == "Labels of 2024-03-05 have not come"


def test_a_model_without_any_row_has_a_line():
    line = _line("new")
    assert (line.quality, line.champion, line.newest, line.needs_somebody) == (
        None,
        None,
        None,
        False,
    )
