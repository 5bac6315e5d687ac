"""TensorRT for those who build plans and those who run them: what is installed, its messages, the device."""
