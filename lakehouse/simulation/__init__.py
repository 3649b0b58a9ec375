"""The retraining policy over simulated streams, without Spark: what it loses, raises and trains,
against an oracle.
"""
