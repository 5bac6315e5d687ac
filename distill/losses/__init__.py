"""Pure loss functions, one file each, in float32 (or float64, if given) whatever the autocast around them."""
