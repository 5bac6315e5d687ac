"""Several processes that serve as one: a supervisor that accepts, and workers that answer."""
