"""Networks that are read from a user's own model: an ONNX file, or a PyTorch module while it runs."""
