"""Profiles of columns that merge: bins, moments, histograms, sketches."""
