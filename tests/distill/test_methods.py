"""What every method of the table keeps to, with its default settings."""

from dataclasses import replace

import pytest
import torch

from distill.methods import METHODS
from distill.methods.method import Pair, StepContext
from distill.networks.output import FeatureInfo, SegOutput

WIDTHS = {"student": 16, "teacher": 32}


def output(role: str) -> SegOutput:
    generator = torch.Generator().manual_seed(WIDTHS[role])
    names = ("stage1", "stage2", "stage3", "stage4", "head")
    features = {name: torch.randn(2, WIDTHS[role], 16, 16, generator=generator) for name in names}
    logits = torch.randn(2, 5, 64, 64, generator=generator)  # the least that a discriminator can take
    for tensor in (*features.values(), logits):
        tensor.requires_grad_()
    return SegOutput(logits, aux_logits=None, features=features, padded_size=(128, 128))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_terms_it_weighs_and_spares_the_teacher(name):
    entry = METHODS[name]
    settings = entry.settings(name=name)
    infos = {
        role: {feature: FeatureInfo(width, 8) for feature in ("stage1", "stage2", "stage3", "stage4", "head")}
        for role, width in WIDTHS.items()
    }
    pair = Pair(infos["student"], infos["teacher"], num_classes=5)
    prepared = entry.prepare(settings, pair) if entry.prepare else None
    method = entry.build(settings, replace(pair, prepared=prepared))
    student, teacher = output("student"), output("teacher")
    terms = method(
        student,
        teacher,
        torch.zeros(2, 128, 128, dtype=torch.uint8),
        StepContext(step=0, sample_seeds=(1, 2)),
    )
    assert terms.keys() == settings.weights().keys()
    assert all(term.shape == () and term.dtype == torch.float32 for term in terms.values())
    sum(terms.values()).backward()
    assert any(t.grad is not None for t in (student.logits, *student.features.values()))
    assert all(t.grad is None for t in (teacher.logits, *teacher.features.values()))
