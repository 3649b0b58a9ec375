"""How a version that the gate lets pass comes into production (docs/rollout.md)."""

import datetime as dt
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lakehouse.settings.base import Settings, Span

Strategy = Literal["immediate", "shadow", "canary", "ab"]
_SHARES: dict[str, tuple[float, ...]] = {"canary": (0.05, 0.25, 0.5), "ab": (0.5,)}


class RolloutSettings(Settings):
    """How a version that passed the gate takes over: at once, or after it has shown itself.

    Attributes:
        strategy: `immediate`: it is promoted at once. In all others both versions score every row:
            `shadow`: the champion answers all; `canary`: the challenger answers a share that grows
            in steps; `ab`: a share that stays.
        shares: of rows that the challenger answers, for canary and ab.
        dwell: how long, in label time, a step lasts at least.
        longest: how long a rollout may last; then the champion stays.
        better: probability that a challenger which is not better is ever called better.
        worse: probability that one which is not worse is ever called worse.
        at_alarm: how the winner of an alarm's training comes into production: `immediate`, since
            the champion is known to be wrong; or by a `rollout` of its own. Either way it ends a
            rollout that runs.
        label_follows_prediction: whether what is answered changes the label; then only rows of
            different arms are compared.
        disagreement: share of rows on which both may differ; None for any.
        milliseconds_per_thousand: how long the challenger may take for a thousand rows; None for
            any.
        slice_fall: how much worse it may be in a slice, as a share of the rows.
    """

    strategy: Strategy = "immediate"
    shares: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    dwell: Span = dt.timedelta(days=2)
    longest: Span = dt.timedelta(days=14)
    better: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    worse: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    at_alarm: Literal["immediate", "rollout"] = "immediate"
    label_follows_prediction: bool = False
    disagreement: Annotated[float, Field(gt=0, lt=1)] | None = None
    milliseconds_per_thousand: Annotated[float, Field(gt=0)] | None = None
    slice_fall: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _is_possible(self) -> "RolloutSettings":
        self._check_shares()
        if self.longest > dt.timedelta(days=30):
            raise ValueError("longest: write 30 days or less")
        if self.longest < self.dwell:
            raise ValueError("longest is shorter than dwell; write a longer one")
        if self.label_follows_prediction and self.strategy == "shadow":
            raise ValueError(
                "label_follows_prediction: nothing that a shadow says has a label then; write "
                "`strategy: canary` or `ab`"
            )
        return self

    def _check_shares(self) -> None:
        shares = self.shares
        if shares is None:
            return
        if self.strategy not in _SHARES:
            raise ValueError(f"shares: leave them out; {self.strategy} has none")
        if any(not 0 < share < 1 for share in shares):
            raise ValueError("shares: write numbers between 0 and 1, such as 0.05")
        if any(later <= sooner for sooner, later in pairwise(shares)):
            raise ValueError("shares: write them in rising order, each once")
        if self.strategy == "ab" and len(shares) > 1:
            raise ValueError("shares: write one for ab; `strategy: canary` has steps")

    @property
    def is_gradual(self) -> bool:
        """Whether a version that passed has to show itself first."""
        return self.strategy != "immediate"

    def steps_of(self, strategy: str) -> tuple[float, ...]:
        """The shares of a strategy, in order; of a shadow, none of the rows."""
        own = self.shares if strategy == self.strategy else None
        return own or _SHARES.get(strategy, (0.0,))
