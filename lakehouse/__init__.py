"""A lakehouse that scores a stream, watches its models and retrains them by itself."""
