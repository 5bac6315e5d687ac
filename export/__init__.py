"""Export: a finished training run becomes a model package, or a reason why not."""
