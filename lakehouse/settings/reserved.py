"""Names of columns that the engine itself adds to the columns of a model's settings."""

PREDICTION = "prediction"
SCORE = "score"
POSITION = ("source_file", "line", "landed_file_id")
"""Where a row's line stands among the landed files."""
SERVED = "_served"
"""The field of a landed line that holds what an endpoint answered."""
SERVED_FOLDER = "served"
"""The folder of such lines under the readings' landing folder."""
