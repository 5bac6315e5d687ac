"""ONNX graphs to TensorRT plans, whichever TensorRT is installed."""
