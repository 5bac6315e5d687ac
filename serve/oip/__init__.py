"""The Open Inference Protocol v2 (KServe): what `/v2` reads and writes, apart from HTTP itself.

Source: the "Required API" of the Open Inference Protocol with Triton's extensions for binary tensors, model
configuration, model repository and statistics, as `tritonclient[http]` uses them.
"""
