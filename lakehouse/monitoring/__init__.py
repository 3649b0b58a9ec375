"""Windows, their facts, and the metric tables."""
