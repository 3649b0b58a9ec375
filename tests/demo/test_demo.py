import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.demo.kpi_figure import draw
from lakehouse.demo.nights import begin_anew_where_other, run_nights
from lakehouse.demo.report import Story, alerts_of, as_table, drifts_of, in_words
from lakehouse.glassware.gateway import land_until, next_midnight
from lakehouse.glassware.pieces import START, Stream
from lakehouse.glassware.posterior import regimes
from lakehouse.ingest.account import account
from lakehouse.settings import EnvironmentSettings, load_model_settings
from tests.support.truth import untrue

DRIFT = pd.Timestamp(regimes("demo")[1].starts)


def story(noticed: list[str], promoted: list[str]) -> Story:
    """A stream that is right until the first drift, wrong until it is mended, and right after;
    hourly, until 07-31.
    """
    times = pd.date_range("2019-07-01", "2019-07-31", freq="h", tz="UTC", inclusive="left")
    mended = pd.Timestamp(promoted[-1], tz="UTC") if promoted else times[-1] + pd.Timedelta(days=1)
    right = ((times < DRIFT) | (times >= mended)).astype(float)
    pieces = pd.DataFrame({"time": times, "right": right})
    moments = [pd.Timestamp(each, tz="UTC") for each in promoted]
    alarms = [pd.Timestamp(each, tz="UTC") for each in noticed]
    return Story(
        pieces,
        alternatives(),
        [(each, str(n)) for n, each in enumerate(moments, 1)],
        alarms,
        regimes("demo"),
    )


def alternatives() -> pd.DataFrame:
    """From the drift on the first model is right in half of the pieces, the one trained daily in
    three of four.
    """
    days = pd.date_range("2019-07-09", "2019-07-30", tz="UTC")
    rows = [
        {
            "window_date": day,
            "alternative": name,
            "n_labelled": 24,
            "n_right": 20,
            "n_right_otherwise": right,
        }
        for day in days
        for name, right in (
            ("never", 24 if day < DRIFT else 12),
            ("daily", 24 if day < DRIFT else 18),
        )
    ]
    return pd.DataFrame(rows).set_index(["window_date", "alternative"])


def test_a_drift_is_reported_with_its_alarm_its_promotion_and_the_accuracy_before_during_and_after() -> (
    None
):
    (drift,) = drifts_of(story(noticed=["2019-07-21"], promoted=["2019-07-08", "2019-07-21"]))
    assert (drift.name, drift.began) == ("regime 2", DRIFT)
    assert drift.noticed == drift.promoted == pd.Timestamp("2019-07-21", tz="UTC")
    assert (drift.before, drift.during, drift.after, drift.without) == (1.0, 0.0, 1.0, 0.5)


def test_an_alarm_before_the_drift_is_not_taken_for_its_discovery() -> None:
    (drift,) = drifts_of(story(noticed=["2019-07-10"], promoted=["2019-07-08"]))
    assert drift.noticed is None
    assert "never" in as_table([drift])


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    draw(story(["2019-07-21"], ["2019-07-21"]), tmp_path / "report" / "kpi.png", "a title")
    assert (tmp_path / "report" / "kpi.png").read_bytes().startswith(b"\x89PNG")


def test_the_lines_of_the_alternatives_are_those_of_the_counterfactual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[float]] = {}
    plot = Axes.plot

    def noted(axes: Axes, x: Any, y: Any, **style: Any) -> Any:
        drawn[style["label"]] = list(y)
        return plot(axes, x, y, **style)

    monkeypatch.setattr(Axes, "plot", noted)
    draw(story(["2019-07-21"], ["2019-07-21"]), tmp_path / "kpi.png", "a title")
    before, after = 10, 12  # days of the counterfactual until the drift's, and from then on
    assert drawn["the first model, left alone"] == [1.0] * before + [0.5] * after
    assert drawn["a model trained each midnight"] == [1.0] * before + [0.75] * after
    assert len(drawn["the loop"]) == 30


def test_the_last_line_compares_all_on_the_same_pieces() -> None:
    assert (
        in_words(story([], [])) == "accuracy 0.833, without retraining 0.727, retrained daily 0.864"
    )


def test_another_simulation_begins_anew_and_the_same_one_does_not(tmp_path: Path) -> None:
    stream = Stream(pieces=5)
    land_until(stream, tmp_path / "landing", START + dt.timedelta(days=1))
    begin_anew_where_other(stream, tmp_path)
    assert (tmp_path / "landing").exists()
    begin_anew_where_other(Stream(seed=1, pieces=5), tmp_path)
    assert not tmp_path.exists()


def test_a_run_that_was_cut_off_after_landing_goes_on_to_the_same_end(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = Stream(pieces=9, period=14_400)
    lakehouse = open_lakehouse(
        spark, load_model_settings("conf/glassware.yaml"), EnvironmentSettings(root=str(tmp_path))
    )
    run_nights(lakehouse, stream, days=1)
    land_until(
        stream, tmp_path / "landing", START + dt.timedelta(days=2)
    )  # cut off here, before the pipeline
    run_nights(lakehouse, stream, days=None)
    readings, labels = account(lakehouse)
    assert next_midnight(stream, tmp_path / "landing") is None
    assert (readings.lines, labels.lines) == (9, 9)
    assert readings.balances
    assert labels.balances
    assert untrue(lakehouse.store, tmp_path / "landing") == []
    assert "no champion yet" in capsys.readouterr().out
    assert alerts_of(lakehouse) == ["none"]
