"""How probably a prediction is wrong, by the features."""
