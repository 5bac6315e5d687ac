"""Proof that an artifact computes in the precision it claims."""
