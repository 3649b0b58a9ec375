"""Lines for people: what goes out, what is held, what became of it."""

from lakehouse.alerts.delivery import Attempt
from lakehouse.alerts.words import as_lines, deliveries_as_lines
from tests.support.alert_rows import DAY, START, event


def test_what_goes_out_is_a_line_each_in_order_and_what_is_held_is_counted():
    events = [
        event(1, "resolved", as_of=START + DAY),
        event(0, summary="glassware: slow " + "x" * 200),
        event(2, held="flapping"),
        event(3, held="flapping"),
        event(4, held="silenced"),
    ]
    first, second, last = as_lines(events)
    assert first.startswith("2024-03-01  warning   firing    glassware: slow xxx")
    assert first.endswith("…")
    assert second.startswith("2024-03-02  warning   resolved  ")
    assert last == "held: 2 flapping, 1 silenced"
    assert as_lines([]) == []


def test_a_channel_has_a_line_with_its_last_trouble():
    def attempt(channel, outcome, detail):
        return Attempt("e", channel, 1, outcome, None, detail, None, START)

    tries = [attempt("slack", "delivered", "ok"), attempt("slack", "retry", "busy")]
    assert deliveries_as_lines([attempt("email", "delivered", ""), *tries]) == [
        "email: 1 delivered",
        "slack: 1 delivered, 1 retry (busy)",
    ]
