"""Slow and obvious forms of the losses, written from the definitions, to test and time against."""
