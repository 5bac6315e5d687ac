"""The checks of `afdcd export verify`, one file for each thing that is looked at."""
