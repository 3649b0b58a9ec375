"""What a micro-batch of scoring is bound to by its row of the ledger."""

from dataclasses import dataclass
from typing import Any

from lakehouse.rollouts.state import Rollout
from lakehouse.storage.store import Row


@dataclass(frozen=True)
class Binding:
    """The versions of a micro-batch.

    Attributes:
        version: the champion.
        challenger: version that is rolled out, and scores the rows, too; None for none.
        share: of the keys that the challenger answers.
        rollout_id: of the rollout.
    """

    version: str
    challenger: str | None = None
    share: float = 0.0
    rollout_id: str = ""

    @classmethod
    def of_row(cls, row: Row) -> "Binding":
        """As a row of `silver.scoring_ledger` says."""
        challenger = row.get("challenger_version")
        if challenger is None:
            return cls(str(row["model_version"]))
        share, name = row["challenger_share"], row["rollout_id"]
        return cls(str(row["model_version"]), str(challenger), float(share), str(name))

    @classmethod
    def to(cls, champion: str, rollout: Rollout | None) -> "Binding":
        """The champion, and the challenger of a rollout that runs."""
        if rollout is None:
            return cls(champion)
        return cls(champion, rollout.challenger, rollout.share, rollout.rollout_id)

    @property
    def columns(self) -> dict[str, Any]:
        """Of its row of `silver.scoring_ledger`."""
        own: dict[str, Any] = {"model_version": self.version}
        if self.challenger is not None:
            own |= {"challenger_version": self.challenger, "challenger_share": self.share}
            own |= {"rollout_id": self.rollout_id}
        return own
