"""A promoted version as one file for machines without Python: ONNX, shown to be equal."""
