"""Draws street scenes: a camera, a light, and everything that stands on a street. Lengths are metres."""
