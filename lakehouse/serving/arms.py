"""The versions that answer, and each row's: the champion, or the challenger of a rollout. Pure.

Whatever the challenger does, the champion's answer is there: it takes the rows of the challenger's
arm for which that one has no finite answer, as in the stream.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse.rollouts.arms import answers as answers_key
from lakehouse.rollouts.state import Rollout
from lakehouse.serving.answers import Answer, ServedVersion
from lakehouse.serving.bodies import Row

_NOT_LOADED = "not loaded"
_NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Answered:
    """The answers to rows, in their order.

    Attributes:
        answers: each names the version that gave it.
        errors: rows of the challenger's arm that the champion had to answer, by the reason.
    """

    answers: Sequence[Answer]
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Arms:
    """The versions that answer.

    Attributes:
        champion: it answers whatever happens.
        challenger: version that is rolled out; None where it is refused, and without a rollout.
        rollout: that gives the challenger a share of the keys; None without one.
    """

    champion: ServedVersion
    challenger: ServedVersion | None = None
    rollout: Rollout | None = None

    @property
    def versions(self) -> tuple[ServedVersion, ...]:
        """Both versions, or the champion."""
        return (self.champion, *((self.challenger,) if self.challenger else ()))

    def is_challengers(self, key: Any) -> bool:
        """Whether a key is of the challenger's arm; a row without a key is of the champion's."""
        rollout = self.rollout
        if rollout is None or key is None:
            return False
        return answers_key(rollout.rollout_id, key, rollout.share)

    def needs_a_frame(self, rows: int) -> bool:
        """Whether so many rows take milliseconds."""
        return any(version.needs_a_frame(rows) for version in self.versions)

    def answers(self, rows: Sequence[Row], keys: Sequence[Any]) -> Answered:
        """The answer of each row's arm.

        Args:
            rows: of typed values.
            keys: of each row; None where it has none.
        """
        places = [place for place, key in enumerate(keys) if self.is_challengers(key)]
        if not places:
            return Answered(self.champion.answers(rows))
        tried = self._tried([rows[place] for place in places])
        by_place = zip(places, tried, strict=True)
        found = {place: each for place, each in by_place if isinstance(each, Answer)}
        rest = [place for place in range(len(rows)) if place not in found]
        if rest:
            by_champion = self.champion.answers([rows[place] for place in rest])
            found |= dict(zip(rest, by_champion, strict=True))
        errors = Counter(each for each in tried if isinstance(each, str))
        return Answered([found[place] for place in range(len(rows))], errors)

    def _tried(self, rows: Sequence[Row]) -> Sequence[Answer | str]:
        """The challenger's answers; where it has none, why."""
        if self.challenger is None:
            return [_NOT_LOADED] * len(rows)
        try:
            answers = self.challenger.answers(rows)
        except Exception as error:  # whatever it raises, the champion answers
            return [type(error).__name__] * len(rows)
        return [each if each.prediction is not None else _NOT_FINITE for each in answers]
