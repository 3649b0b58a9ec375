"""Custom metrics: SQL of the settings, checked at opening, computed with each window."""
