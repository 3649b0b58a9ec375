"""What the model of the beginning would have got right: a count that is not known of all rows."""

from typing import Protocol


class Judged(Protocol):
    """Facts of labelled rows that another model may have been asked about, too."""

    @property
    def n_labelled(self) -> int:
        """Rows with a label."""

    @property
    def n_right_without_retraining(self) -> int | None:
        """Labelled rows that the other model gets right; None unless known of each."""


def merged_right(a: Judged, b: Judged) -> int | None:
    """The count of both sets together: known if known of each side that has labels."""
    counts = [side.n_right_without_retraining for side in (a, b) if side.n_labelled]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def accuracy_without_retraining(facts: Judged) -> float | None:
    """Share of labelled rows that the other model gets right; None if unknown or no labels."""
    if not facts.n_labelled or facts.n_right_without_retraining is None:
        return None
    return facts.n_right_without_retraining / facts.n_labelled
