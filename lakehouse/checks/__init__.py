"""Tests of a model before a promotion, beside the gate; each is a piece of evidence. Pure."""
