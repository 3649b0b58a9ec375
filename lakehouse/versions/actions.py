"""What a row of `gold.promotion` says was done, and by whom."""

PROMOTE = "promote"
PENDING = "pending"
"""The challenger passed the gate and waits for a person."""
REFUSE = "refuse"
ROLLBACK = "rollback"

VERDICTS = (PROMOTE, PENDING, REFUSE)
MOVES = (PROMOTE, ROLLBACK)
"""The actions that change which version is in production."""

LOOP = "retrain_and_promote"
"""Who acts where no person does."""
