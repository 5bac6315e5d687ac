"""The command `afdcd`, the chain of all stages, and its report."""
