"""The program: the command line, opening a lakehouse, the whole way."""
