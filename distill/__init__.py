"""Datasets, networks, distillation methods and the training loop: the stage that trains; torch lives here."""

import os

# albumentations asks the network for its newest version on import, hubs do so on loading: never from here.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
