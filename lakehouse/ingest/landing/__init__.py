"""Landed files: what lies in a folder, whether it can be read, and its lines."""
