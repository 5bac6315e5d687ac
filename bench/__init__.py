"""Latency, throughput, memory and size of model packages, measured so that they can be believed. No torch."""
