"""The pipeline tells of alerts at the end of each pass, also of one that fails."""

from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from lakehouse.app import whole_way
from lakehouse.errors import LandingError, LockedError

LAKEHOUSE = SimpleNamespace(
    store=SimpleNamespace(root="root", reports=deque()), model="model", catalog="catalog"
)


@pytest.fixture
def calls(monkeypatch):
    """What was done, in order; each may be told to raise."""
    found = SimpleNamespace(done=[], raises={})

    def note(name):
        found.done.append(name)
        if name in found.raises:
            raise found.raises[name]

    def notifier(*given):
        assert given == ("root", "model", "catalog")
        return SimpleNamespace(notify=lambda: note("notify"))

    monkeypatch.setattr(whole_way, "_once", lambda lakehouse, recorder: note("pass"))
    monkeypatch.setattr(whole_way, "Notifier", notifier)
    monkeypatch.setattr(whole_way, "keep_rows", lambda lakehouse: note("rows kept"))
    return found


def test_a_pass_ends_with_the_alerts(calls):
    whole_way.run_pipeline(LAKEHOUSE)
    assert calls.done == ["pass", "notify", "rows kept"]


def test_a_pass_that_fails_tells_of_alerts_and_shows_its_own_error(calls):
    calls.raises = {"pass": ValueError("the pass"), "notify": OSError("the alerts")}
    with pytest.raises(ValueError, match="the pass"):
        whole_way.run_pipeline(LAKEHOUSE)
    assert calls.done == ["pass", "notify"]


def test_another_notifier_at_work_does_not_fail_the_pass(calls):
    calls.raises = {"notify": LockedError("busy")}
    whole_way.run_pipeline(LAKEHOUSE)
    assert calls.done == ["pass", "notify", "rows kept"]


def test_alerts_that_cannot_be_evaluated_are_not_passed_over(calls):
    calls.raises = {"notify": ValueError("a defect")}
    with pytest.raises(ValueError, match="a defect"):
        whole_way.run_pipeline(LAKEHOUSE)


@pytest.fixture
def going_on(calls, monkeypatch):
    """Passes beside streams: the third one is the last."""

    def note(name):
        calls.done.append(name)
        if name in calls.raises:
            raise calls.raises[name]

    @contextmanager
    def streaming(lakehouse, seconds):
        calls.done.append(f"streams at {seconds:g} s")
        yield SimpleNamespace(
            watch=lambda seconds: note(f"{seconds:g} s"),
            end=lambda: calls.done.append("streams end"),
            start_scoring=lambda: calls.done.append("scoring"),
        )
        raise AssertionError

    def retrain(lakehouse, trigger):
        calls.done.append("retrain")
        if calls.done.count("retrain") == 3:
            raise LandingError("the third")

    monkeypatch.setattr(whole_way, "streaming", streaming)
    for name in ("record_commits", "compare_with_alternatives", "renew_page"):
        monkeypatch.setattr(whole_way, name, lambda *_: None)
    monkeypatch.setattr(whole_way, "retrain_and_promote", retrain)
    return calls


def test_with_an_interval_streams_are_started_once_and_passes_go_on_beside_them(going_on):
    with pytest.raises(LandingError, match="the third"):
        whole_way.run_pipeline(LAKEHOUSE, "1 second")
    a_pass = ["60 s", "retrain", "scoring", "notify", "rows kept"]
    told = ["60 s", "retrain", "notify"]
    first = ["pass", "notify", "rows kept"]
    assert going_on.done == [*first, "streams at 1 s", *a_pass, *a_pass, *told]


def test_a_stream_that_fails_ends_the_others_before_the_pass_is_told_of(going_on):
    going_on.raises = {"60 s": LandingError("a stream")}
    with pytest.raises(LandingError, match="a stream"):
        whole_way.run_pipeline(LAKEHOUSE, "1 second")
    assert going_on.done[-3:] == ["60 s", "streams end", "notify"]
