"""On which rows a new model may be trained, and which of these is best."""
