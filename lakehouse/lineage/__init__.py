"""Where every number comes from: the graph of what was made from what, checks of it, repeats."""
