"""One row explained: its call, what each feature added, the nearest border, two versions."""
