"""Alerts: rules over metrics, what changes of them, and who is told."""
