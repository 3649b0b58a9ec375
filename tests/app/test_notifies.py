"""The pipeline tells of alerts at the end of each pass, also of one that fails."""

from collections import deque
from types import SimpleNamespace

import pytest

from lakehouse.app import whole_way
from lakehouse.errors import LockedError

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
