"""When a model is trained again, on which rows, and whether the new one takes over."""
