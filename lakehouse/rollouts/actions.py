"""What a row of `gold.rollout` says was done."""

START = "start"
STEP = "step"
"""The challenger answers a greater share from the next micro-batch on."""
HOLD = "hold"
"""Newer labels have come and decide nothing."""
ABORT = "abort"
FINISH = "finish"

ENDS = (ABORT, FINISH)

ALARM, GATE = "alarm", "gate"
"""Rules of a start: the version was trained for an alarm, or otherwise passed the gate."""
