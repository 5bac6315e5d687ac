"""Pre-training without labels: a student's backbone learns a frozen teacher's map, pixel by pixel (PCD)."""
