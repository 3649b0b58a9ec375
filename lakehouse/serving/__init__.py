"""The champion that answers: HTTP requests to predictions, without Spark."""
