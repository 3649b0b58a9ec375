"""What a row of `gold.promotion` says was done, and by whom."""

PROMOTE = "promote"
PENDING = "pending"
"""The challenger passed the gate and waits for a person."""
ROLLOUT = "rollout"
"""The challenger passed the gate and is rolled out: it has to show itself in production."""
REFUSE = "refuse"
ROLLBACK = "rollback"

VERDICTS = (PROMOTE, PENDING, ROLLOUT, REFUSE)
ADMITTED = (PROMOTE, ROLLOUT)
"""The actions after which a version may score production's rows: its file is on record."""
MOVES = (PROMOTE, ROLLBACK)
"""The actions that change which version is in production."""

LOOP = "retrain_and_promote"
"""Who acts where no person does."""
SCORING = "score"
"""Who ends a rollout between two nights."""
