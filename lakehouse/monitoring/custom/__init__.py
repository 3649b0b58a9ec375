"""Custom metrics: SQL of the settings, checked when a lakehouse is opened, computed with each
window.
"""
