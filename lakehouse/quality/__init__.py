"""How good predictions are, from counts and sums that merge."""
