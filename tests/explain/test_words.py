"""What is printed where values were sampled, or versions read other columns."""

import datetime as dt

import numpy as np

from lakehouse.explain.border import Border
from lakehouse.explain.explanation import BEFORE, CHAMPION, Explanation, View
from lakehouse.explain.shapley import Shares
from lakehouse.explain.words import as_lines
from lakehouse.settings import load_model_settings

MODEL = load_model_settings("conf/glassware.yaml")
READING = {
    "pid": 1,
    "process_time": dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
    "temp": None,
    "kind": "a",
}


def view(version, role, features, **given):
    base = {
        "version": version,
        "roles": (role,),
        "call": 1,
        "explained": "probability of 1",
        "output": 0.75,
        "shares": Shares(0.5, np.full(len(features), 0.25 / len(features))),
        "features": features,
        "borders": dict.fromkeys(features),
        "background": 10,
    }
    return View(**base | given)


def lines_of(*views):
    return as_lines(Explanation(MODEL, READING, None, None, views))


def row(lines, start):
    return next(line for line in lines if line.strip().startswith(start))


def test_a_feature_that_a_version_does_not_read_is_told_so():
    lines = lines_of(view("2", CHAMPION, ("temp", "kind")), view("1", BEFORE, ("temp",)))
    assert row(lines, "reading:") == "reading:    temp missing, kind a"
    assert row(lines, "kind added").split()[2:] == ["+0.1250", "not", "read"]
    assert row(lines, "call changes at kind").split()[4:] == ["nowhere", "not", "read"]


def test_sampled_values_have_their_standard_error_and_a_note():
    shares = Shares(0.5, np.array([0.25]), np.array([0.0125]))
    lines = lines_of(view("2", CHAMPION, ("temp",), shares=shares))
    assert row(lines, "temp added").endswith("+0.2500 ± 0.0125")
    assert row(lines, "±") == "± is the standard error of values that were sampled."
    assert not any("±" in line for line in lines_of(view("2", CHAMPION, ("temp",))))


def test_the_nearest_border_alone_has_the_mark():
    borders = {"temp": Border("temp", 351.25, 0.2), "kind": Border("kind", "b", 0.5)}
    lines = lines_of(view("2", CHAMPION, ("temp", "kind"), borders=borders))
    assert row(lines, "call changes at temp").endswith("351.25 (20%) *")
    assert row(lines, "call changes at kind").endswith("b (50%)")


def test_probabilities_of_different_calls_are_named_as_such():
    other = view("1", BEFORE, ("temp",), explained="probability of 0")
    assert row(lines_of(view("2", CHAMPION, ("temp",)), other), "probability of the call")
