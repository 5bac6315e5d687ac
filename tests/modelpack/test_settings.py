from pathlib import Path
from typing import Literal, Self

import pytest
from pydantic import PositiveFloat, PositiveInt, ValidationError, model_validator

from modelpack.errors import SettingsError
from modelpack.settings import StrictModel, parse_settings


class Colour(StrictModel):
    order: Literal["rgb", "bgr"] = "rgb"


class Optim(StrictModel):
    lr: PositiveFloat = 0.02
    steps: PositiveInt = 100
    warmup: int = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.warmup >= self.steps:
            raise ValueError(f"warmup ({self.warmup}) must be below steps ({self.steps})")
        return self


class Recipe(StrictModel):
    network: str
    colour: Literal["imagenet"] | Colour | None = None
    weights: Literal["imagenet"] | Path | None = None
    optim: Optim = Optim()
    stages: tuple[Optim, ...] = ()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "network is required."),
        ({"optim": {"lr": -1}}, "optim.lr = -1: input should be greater than 0."),
        (
            {"optim": {"stpes": 1}},
            "unknown setting 'optim.stpes'. Did you mean 'optim.steps'? "
            "Available: optim.lr, optim.steps, optim.warmup.",
        ),
        ({"optim": {"warmup": 100}}, "optim: warmup (100) must be below steps (100)."),
        ({"optim": 3}, "optim = 3: must be a section of settings."),
        (
            {"stages": [{}, {"setps": 1}]},
            "unknown setting 'stages.1.setps'. Did you mean 'stages.1.steps'? "
            "Available: stages.1.lr, stages.1.steps, stages.1.warmup.",
        ),
        (
            {"colour": "imagnet"},
            "colour = 'imagnet': input should be 'imagenet', or must be a section of settings.",
        ),
        ({"colour": {"order": "rbg"}}, "colour.order = 'rbg': input should be 'rgb' or 'bgr'."),
        ({"weights": 4}, "weights = 4: input should be 'imagenet', or must be a path."),
    ],
)
def test_a_mistake_is_one_sentence_with_source_key_value_and_rule(values, sentence):
    complete = {"network": "n", **values} if values else {}
    with pytest.raises(SettingsError) as caught:
        parse_settings(Recipe, complete, "recipe r.yaml")
    assert str(caught.value) == f"recipe r.yaml: {sentence}"


def test_every_mistake_is_named_at_once():
    with pytest.raises(SettingsError, match=r"lr = 0: .* steps = 'many': .* unknown setting 'momentum'"):
        parse_settings(Optim, {"lr": 0, "steps": "many", "momentum": 1}, "optim")


def test_a_very_long_value_is_cut():
    with pytest.raises(SettingsError) as caught:
        parse_settings(Optim, {"steps": ["x" * 1000]}, "optim")
    assert len(str(caught.value)) < 200


def test_numbers_in_scientific_notation_may_come_as_text():
    # YAML 1.1, which PyYAML reads, takes 1e-4 (without a dot) for a string.
    assert parse_settings(Optim, {"lr": "1e-4"}, "optim").lr == 1e-4


def test_settings_cannot_be_changed_after_reading():
    with pytest.raises(ValidationError, match="frozen"):
        Optim().lr = 1.0
