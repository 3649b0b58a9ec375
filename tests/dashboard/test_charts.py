import datetime as dt
import re
from decimal import Decimal

import pytest

from lakehouse.dashboard.charts import Reading, heat_map, legend, matrix, time_chart
from lakehouse.dashboard.markup import element, short
from lakehouse.dashboard.paths import Plane
from lakehouse.dashboard.scales import HEIGHT, Scale, TimeAxis
from lakehouse.dashboard.words import cell
from tests.dashboard.models import FIRST, moment

AXIS = TimeAxis(FIRST, 4)
PLANE = Plane(AXIS, Scale(0.0, 1.0))
DAYS = [FIRST + dt.timedelta(days=place) for place in range(4)]
READING = Reading("daily", ("day", "accuracy"))


def _d(markup):
    return re.findall(r' d="([^"]*)"', str(markup))[0]


def test_text_of_a_row_is_escaped_wherever_it_stands():
    evil = '"><script>alert(1)</script>'
    shown = [
        element("p", evil, title=evil),
        time_chart(PLANE, [PLANE.level(1.0, "threshold")], evil, READING),
        heat_map(AXIS, [evil], {}, [], evil, READING),
        matrix({(evil, evil): 1}, {}),
        legend([("loop", evil)]),
    ]
    assert all("<script" not in str(markup) for markup in shown)
    assert str(shown[0]).count("&lt;script&gt;") == 2


def test_a_day_is_drawn_at_its_noon_and_a_moment_where_it_is():
    assert AXIS.at(DAYS[2]) == 2.5
    assert AXIS.at(moment("2024-03-03T06:00")) == 2.25


def test_an_axis_reaches_to_the_end_of_the_last_day_and_is_never_empty():
    axis = TimeAxis.over([moment("2024-03-04T23:00"), FIRST])
    assert (axis.first, axis.days) == (FIRST, 4)
    assert TimeAxis.over([]).days == 1


def test_a_line_is_broken_where_a_value_is_missing_and_a_lonely_value_is_a_dot():
    points = list(zip(DAYS, [0.5, 0.6, None, 1.0], strict=True))
    assert _d(PLANE.line(points, "loop")) == "M0.5 250l1 -50M3.5 0h0"
    assert PLANE.line([(DAYS[0], None)], "loop") == ""


def test_a_band_goes_there_along_the_upper_and_back_along_the_lower_bound():
    points = [(DAYS[0], 0.4, 0.6), (DAYS[1], 0.2, 0.8), (DAYS[2], None, 0.9)]
    assert _d(PLANE.band(points, "area")) == "M0.5 200l1 -100l0 300l-1 -100z"


def test_bars_stand_on_their_lower_value_and_an_empty_one_is_left_out():
    bars = PLANE.bars([(DAYS[0], 0.0, 0.5), (DAYS[1], 0.5, 0.5)], "bar")
    assert _d(bars) == f"M0.08 250h.84V{HEIGHT}h-.84z"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.91, 0.97], [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97]),
        ([0.0, 192.0], [0, 50, 100, 150, 200]),
        ([-3.0, 40.0], [-10, 0, 10, 20, 30, 40]),
        ([5.0], [4.5, 4.75, 5, 5.25, 5.5]),
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ([None, float("nan"), 1.0, 2.0], [1, 1.2, 1.4, 1.6, 1.8, 2]),
    ],
)
def test_a_scale_ends_on_round_numbers_and_has_few_ticks(values, ticks):
    assert Scale.over(values).ticks == pytest.approx(ticks)


def test_a_scale_of_shares_does_not_go_beyond_them_and_is_written_in_per_cent():
    scale = Scale.over([0.62, 1.0], least=0.0, most=1.0, unit="%")
    assert scale.high == 1.0
    plane = Plane(AXIS, scale)
    assert "100 %" in time_chart(plane, [plane.level(1.0, "threshold")], "", READING)


def test_a_chart_of_nothing_is_a_sentence():
    empty = PLANE.line([], "loop")
    assert str(time_chart(PLANE, [empty], "", READING)) == '<p class="nothing">Nothing yet.</p>'


def test_a_value_outside_the_scale_lies_on_its_edge():
    assert (Scale(0.0, 1.0).at(7.0), Scale(0.0, 1.0).at(-7.0)) == (0.0, HEIGHT)


def test_no_coordinate_is_a_number_that_is_none():
    with pytest.raises(ValueError, match="coordinate"):
        short(float("nan"))


def test_a_confusion_matrix_has_shares_of_the_label_and_how_they_moved():
    now = {("1", "1"): 8, ("1", "0"): 2, ("0", "0"): 5}
    before = {("1", "1"): 9, ("1", "0"): 1}
    shown = re.sub(r"<[^>]+>", " ", str(matrix(now, before)))
    assert "80.0 % (-10.0)" in shown
    assert "20.0 % (+10.0)" in shown
    assert "100.0 %" in shown


def test_a_heat_map_has_a_row_for_each_column_and_a_bar_under_what_has_drifted():
    levels = {("a", DAYS[0]): 0, ("b", DAYS[1]): 4}
    shown = str(heat_map(AXIS, ["a", "b"], levels, [("b", DAYS[1])], "", READING))
    assert re.findall(r'd="([^"]+)" class="(heat\d|flag)"', shown) == [
        ("M0 0h1v.9h-1z", "heat0"),
        ("M1 1h1v.9h-1z", "heat4"),
        ("M1 1.72h1v.18h-1z", "flag"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00012345, "0.000123"),
        (355.0352, "355"),
        (12.3456, "12.35"),
        (123456.7, "123457"),
        (Decimal("120"), "120"),
        (Decimal("0.25"), "0.25"),
        (False, "no"),
        (dt.datetime(2024, 3, 1, tzinfo=dt.UTC), "2024-03-01"),
        (dt.datetime(2024, 3, 1, 7, 5, 9, tzinfo=dt.UTC), "2024-03-01 07:05"),
        (None, ""),
        ("a\nb", "a\nb"),
    ],
)
def test_a_cell_is_short_and_says_what_the_row_says(value, text):
    assert cell(value) == text


def test_a_scale_of_values_that_hardly_differ_is_as_wide_as_one_of_equal_values():
    for values in ([2e-16, 0.0], [0.0], [5.0, 5.0 + 1e-12]):
        ticks = Scale.over(values, least=0.0).ticks
        assert len(ticks) == len(set(ticks)) >= 3
    narrow = Scale.over([5.0, 5.0 + 1e-12])
    assert (narrow.low, narrow.high) == pytest.approx((4.4, 5.6))
