"""How fast a training step is: the share of each of its parts, and ours beside the published formulation."""
