"""Serves the versions under `models/` over HTTP. Knows onnxruntime; knows nothing of torch or of `training`."""

__version__ = "0.1.0"
