"""The gate's operating characteristic: how probably a challenger of some true gain is promoted, by
rows.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from lakehouse.retraining.policy.gate import probability_better
from lakehouse.settings import GateSettings

ROWS = (28, 56, 192, 400, 1000)
GAINS = (-0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
DISAGREEMENT = 0.03


def probability_of_promotion(
    rows: int, gain: float, needed: float, disagreement: float = DISAGREEMENT
) -> float:
    """Exactly, over all numbers of discordant pairs and of those won.

    Args:
        rows: rows that the two are compared on.
        gain: true accuracy of the challenger minus the champion's.
        needed: P(challenger better) that the gate asks for.
        disagreement: share of rows on which just one of them is right, beyond what the gain itself
            makes.
    """
    discordant = disagreement + abs(gain)
    won_share = (discordant + gain) / (2 * discordant)
    total = 0.0
    for pairs, chance in enumerate(binom.pmf(np.arange(rows + 1), rows, discordant)):
        if chance > 1e-9:
            won = np.arange(pairs + 1)
            passes = probability_better(won, pairs - won) >= needed
            total += chance * float(binom.pmf(won, pairs, won_share)[passes].sum())
    return total


def gate_table(needed: float, rows: Sequence[int] = ROWS, gains: Sequence[float] = GAINS) -> str:
    """Per cent promoted, as Markdown: a line per true gain, a column per number of rows."""
    lines = [
        "| true gain, points | " + " | ".join(f"{each} rows" for each in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for gain in gains:
        shares = [f"{100 * probability_of_promotion(each, gain, needed):.0f}" for each in rows]
        lines.append(f"| {100 * gain:+.0f} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def gate_report() -> str:
    """The table at an alarm, and the one at a refresh."""
    gate = GateSettings()
    return "\n".join(
        f"P(better) >= {needed:g}: promoted, %\n\n{gate_table(needed)}\n"
        for needed in (gate.confidence, gate.least_confidence)
    )
