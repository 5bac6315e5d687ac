"""The contract between the stages: labels, preprocessing, package, runtimes, metrics, errors. No torch."""

import os

# From the moment it is imported ONNX Runtime sends usage data to its maker, unless this is said before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
