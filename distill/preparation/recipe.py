"""Everything that the runs of one recipe must learn from its teacher beforehand."""

from collections.abc import Mapping
from typing import Any

from distill.compare import CompareConfig, trained_bases, variant_config
from distill.config import TrainConfig
from distill.preparation.stage import prepare
from modelpack.recipe import section, training_part
from modelpack.settings import parse_settings


def prepare_recipe(values: Mapping[str, Any], source: str) -> dict[str, str]:
    """Prepare the recipe's methods and those of its `compare` section, where it has one.

    values: the whole recipe. A teacher without a checkpoint is trained first, as `compare` does.
    Returns the folders, each with the sha256 of its weights.
    """
    training = training_part(values)
    config = parse_settings(TrainConfig, training, source)
    compared = CompareConfig()
    lists = [config.methods]
    if values.get("compare"):
        compared = parse_settings(CompareConfig, section(values, "compare"), f"{source} (compare)")
        variants = compared.variants.values()
        lists += [variant_config(config, methods, 0, source).methods for methods in variants]
    learning = [methods for methods in lists if any(method.preparation() is not None for method in methods)]
    if not learning:
        return {}
    used = [
        prepare(base.model_copy(update={"methods": methods})).values()
        for base in trained_bases(training, config, compared, source).values()
        for methods in learning
    ]
    return {entry["folder"]: entry["weights_sha256"] for entries in used for entry in entries}
