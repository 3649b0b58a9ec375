"""Is a lakehouse what it promises to be: nothing lost, nothing twice, all of it recomputed."""
