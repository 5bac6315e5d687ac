"""What the doctor sees and says: scans of splits, rules over them, findings."""
