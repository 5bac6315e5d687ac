"""Proof that the measuring tool measures: fakes of known behaviour go in, and the known must come out."""
