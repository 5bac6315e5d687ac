"""The stage before distillation: what methods must learn from the teacher alone, trained once and kept."""
