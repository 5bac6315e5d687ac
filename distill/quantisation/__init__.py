"""Quantisation-aware distillation: the student computes with int8 values while it learns."""
