"""Everything that the runs of one recipe must learn from its teacher beforehand."""

from collections.abc import Mapping
from typing import Any

from distill.compare import CompareConfig, variant_config, with_each_teacher
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
    configs = [config]
    teachers: Mapping[str, Any] = {}
    if values.get("compare"):
        compared = parse_settings(CompareConfig, section(values, "compare"), f"{source} (compare)")
        teachers = compared.teachers
        configs += [variant_config(config, methods, 0, source) for methods in compared.variants.values()]
    learning = [one for one in configs if any(method.preparation() is not None for method in one.methods)]
    if not learning:
        return {}
    bases = with_each_teacher(training, config, teachers, source).values()
    used = [
        prepare(one.model_copy(update={"teacher": base.teacher})).values()
        for base in bases
        for one in learning
    ]
    return {entry["folder"]: entry["weights_sha256"] for entries in used for entry in entries}
