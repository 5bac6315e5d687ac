"""What a run learns from: the labelled split, images without labels beside it, or those alone."""

import logging

from distill.config import TrainConfig
from distill.datasets.dataset import DatasetSettings
from distill.datasets.images import ImagesSettings
from modelpack.errors import SettingsError

log = logging.getLogger(__name__)


def data_to_learn_from(config: TrainConfig) -> DatasetSettings:
    """`config.data`, without `unlabelled` for a run without methods: labels are all that it can learn from.

    Raises SettingsError where there are no labels and the run cannot do without.
    """
    data = config.data
    if data.unlabelled is not None and not config.methods:
        log.info("data.unlabelled is not used: without methods there is nothing to learn from such images")
        return data.model_copy(update={"unlabelled": None, "learn_from": None})
    has_labels = data.learn_from is None and not isinstance(data, ImagesSettings)
    needing = [method.name for method in config.methods if method.needs_labels()]
    if needing and not has_labels:
        raise SettingsError(
            f"method {', '.join(needing)} needs labels, and the training images have none "
            f"({'data.learn_from=unlabelled' if data.learn_from else 'data.name=images'}). Leave the method "
            "out, or learn from a labelled dataset and give this folder as data.unlabelled beside it."
        )
    if isinstance(data, ImagesSettings):
        raise SettingsError(
            "the dataset images has neither classes to learn nor labels to measure with. Name a labelled "
            "dataset and give this folder as data.unlabelled (data.learn_from=unlabelled: its images "
            "alone are learned from), or pre-train with it: afdcd distill pretrain RECIPE."
        )
    return data
