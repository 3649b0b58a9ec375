"""What Prometheus is told of a lakehouse, as a text file or over HTTP."""
