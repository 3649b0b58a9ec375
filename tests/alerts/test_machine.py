"""The state machine fires in m of n windows, recovers by its own limits, and knows missing data."""

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.alerts.machine import State, Status, follow
from tests.support.alert_rows import rule, steps

TWO_OF_THREE = rule(for_="2 of 3 windows", recovers_below=1)


def statuses(values, of):
    return [str(state.status) for state, _ in follow(State(), steps(values, of), of)]


def test_one_window_beyond_the_limit_is_pending_and_the_second_of_three_fires():
    assert statuses([0, 3, 0, 3], TWO_OF_THREE) == ["ok", "pending", "ok", "firing"]
    assert statuses([3, 0, 0, 3], TWO_OF_THREE)[-1] == "pending"


def test_between_the_limits_it_goes_on_firing():
    assert statuses([3, 3, 1.5, 1.5, 1.5], TWO_OF_THREE)[2:] == ["firing"] * 3


def test_it_recovers_in_as_many_windows_as_it_takes():
    assert statuses([3, 3, 0, 0], TWO_OF_THREE)[2:] == ["recovering", "ok"]
    slow = rule(for_="1 of 1 windows", recovers_for="3 of 3 windows")
    assert statuses([3, 0, 0, 3, 0, 0, 0], slow)[4:] == ["recovering", "recovering", "ok"]


def test_windows_before_it_fired_do_not_count_towards_its_recovery():
    assert statuses([0, 0, 3, 0], rule(recovers_for="2 of 3 windows"))[-1] == "recovering"


def test_windows_before_it_recovered_do_not_count_towards_firing_again():
    again = rule(for_="2 of 4 windows", recovers_for="1 of 1 windows")
    assert statuses([3, 3, 0, 3], again)[-1] == "pending"


def test_missing_data_are_no_data_after_some_windows_and_never_ok():
    assert statuses([0, None, None, None, None], rule())[1:] == ["ok", "ok", "no_data", "no_data"]
    assert statuses([3, None], TWO_OF_THREE) == ["pending", "pending"]
    assert statuses([0, None, None, None], rule(missing_after=None))[-1] == "ok"


def test_missing_data_end_no_alert():
    assert statuses([3, None, None, None, None, 0], rule())[1:] == ["firing"] * 4 + ["ok"]


def test_data_that_come_back_decide():
    assert statuses([None] * 3 + [0], rule())[-2:] == ["no_data", "ok"]
    assert statuses([None] * 3 + [3], rule())[-2:] == ["no_data", "firing"]


def test_it_began_in_the_window_in_which_it_fired():
    found = steps([0, 3, 3], rule())
    states = [state for state, _ in follow(State(), found, rule())]
    assert [state.began_at for state in states] == [None, found[1].end, found[1].end]


@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0, 1.5, 3])), max_size=30), st.integers(0, 30)
)
def test_it_does_not_matter_how_many_windows_come_at_once(values, cut):
    """A state that is built anew from its last change goes on as the one that was followed."""
    found = steps(values, TWO_OF_THREE)
    at_once = [state for state, _ in follow(State(), found, TWO_OF_THREE)]
    first = [state for state, _ in follow(State(), found[:cut], TWO_OF_THREE)]
    state = first[-1] if first else State()
    second = [each for each, _ in follow(state, found, TWO_OF_THREE)]
    assert first + second == at_once


@given(st.lists(st.one_of(st.none(), st.sampled_from([0, 1.5, 3])), max_size=40))
def test_it_never_recovers_without_having_fired(values):
    before = Status.OK
    for state, _ in follow(State(), steps(values, TWO_OF_THREE), TWO_OF_THREE):
        if state.status == Status.RECOVERING:
            assert before in (Status.FIRING, Status.RECOVERING)
        before = state.status
