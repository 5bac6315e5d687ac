"""Images of several requests in one run of the graph: faster than one after the other on GPUs."""
