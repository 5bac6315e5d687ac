"""What distillation moved inside a student: features and answers beside its teacher's, before and after."""
