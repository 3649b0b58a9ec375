"""What the data of a lakehouse is like: for people who do not know it yet."""
