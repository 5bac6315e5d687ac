"""What a training step of each variant of a comparison costs: time and memory, measured side by side."""
