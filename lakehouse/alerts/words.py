"""Events and deliveries as lines for people."""

from collections import Counter
from collections.abc import Iterable, Sequence

from lakehouse.alerts.delivery import DELIVERED, Attempt
from lakehouse.alerts.events import Event

_LONGEST = 110


def as_lines(events: Sequence[Event]) -> list[str]:
    """A line for each event that goes out, and one that counts those held."""
    sent = [event for event in events if event.held is None]
    lines = [_line(event) for event in sorted(sent, key=lambda event: event.as_of)]
    held = Counter(event.held for event in events if event.held is not None)
    if held:
        lines.append(f"held: {', '.join(f'{n} {why}' for why, n in sorted(held.items()))}")
    return lines


def deliveries_as_lines(attempts: Iterable[Attempt]) -> list[str]:
    """A line for each channel: what was delivered, and the last trouble."""
    lines = []
    by_channel: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_channel.setdefault(attempt.channel, []).append(attempt)
    for channel, tries in sorted(by_channel.items()):
        counts = Counter(attempt.outcome for attempt in tries)
        words = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
        trouble = [attempt.detail for attempt in tries if attempt.outcome != DELIVERED]
        lines.append(f"{channel}: {words}" + (f" ({trouble[-1]})" if trouble else ""))
    return lines


def _line(event: Event) -> str:
    summary = event.summary
    if len(summary) > _LONGEST:
        summary = summary[: _LONGEST - 1] + "…"
    return f"{event.as_of:%Y-%m-%d}  {event.severity:<8}  {event.kind:<8}  {summary}"
