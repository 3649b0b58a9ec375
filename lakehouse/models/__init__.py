"""Models: what they predict, how they are fitted and kept, and which of them is in production."""
