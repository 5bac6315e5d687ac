"""A second model computes a share of the images beside the answers: as a shadow, or as a canary on trial."""
