"""A simulated glass works: the stream of the public `modeldrift` demonstration, with its truth."""
