"""A Triton model repository from a model package."""
