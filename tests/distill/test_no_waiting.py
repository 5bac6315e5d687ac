"""A training step asks its device nothing, so that the host runs ahead; and what replaces such questions."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode

from distill.average import Average
from distill.config import AugmentConfig
from distill.loader import Batch, TrainLoader
from distill.methods import METHODS
from distill.methods.method import Pair, StepContext
from distill.networks.output import FeatureInfo, SegOutput
from distill.step_bench.noise import noise_like
from distill.step_bench.subject import Subject, set_up
from distill.transfer import LateValues, to_device
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, as_config, tiny_config, tiny_values

READING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Operators whose result on the host, or whose shape, depends on values: the host must wait for those."""

ASKING = {"cirkd", "adversarial", "skd"}
"""CIRKD picks pixels by their class. The discriminator's Adam reads its own count, which is on the host."""
STAGES = ("stage1", "stage2", "stage3", "stage4", "head")


class Questions(TorchDispatchMode):
    """Notes every operator that a GPU would make the host wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if READING & set(function.tags) and not _indexes_by_numbers(function, args):
            self.noted.append(str(function))
        return function(*args, **(kwargs or {}))


def _indexes_by_numbers(function: Any, args: Any) -> bool:
    """Indexing is tagged for the sake of masks, whose result has as many entries as they are true."""
    if not str(function).startswith("aten.index."):
        return False
    return all(index is None or index.dtype is torch.int64 for index in args[1])


def lesson(output: Path, **over: Any) -> Subject:
    values = tiny_values(
        output, teacher=NETWORK, methods=[KD, AFDCD], optim={"ema": 0.9, "clip": "all"}, **over
    )
    subject = set_up(as_config(values))
    subject.take_step()
    return subject


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (lambda x: float(x.sum()), "aten._local_scalar_dense.default"),
        (lambda x: x[x > 0], "aten.index.Tensor"),
        (lambda x: x.nonzero(), "aten.nonzero.default"),
    ],
)
def test_a_question_is_noted(question: Any, name: str):
    with Questions() as questions:
        question(torch.ones(3))
    assert name in questions.noted


def test_a_step_of_af_dcd_asks_nothing(tmp_path: Path):
    subject = lesson(tmp_path)
    with Questions() as questions:
        subject.take_step()
    assert questions.noted == []


@pytest.mark.parametrize("name", sorted(set(METHODS) - ASKING))
def test_the_other_methods_ask_nothing_either(name: str):
    entry, generator = METHODS[name], torch.Generator().manual_seed(0)
    features = {"student": 16, "teacher": 32}
    pair = Pair(
        *({stage: FeatureInfo(width, 8) for stage in STAGES} for width in features.values()), num_classes=5
    )
    settings = entry.settings(name=name)
    prepared = entry.prepare(settings, pair) if entry.prepare else None
    method = entry.build(settings, replace(pair, prepared=prepared))
    maps = [
        SegOutput(
            torch.randn(2, 5, 16, 16, generator=generator).requires_grad_(),
            None,
            {stage: torch.randn(2, width, 16, 16, generator=generator).requires_grad_() for stage in STAGES},
            (128, 128),
        )
        for width in features.values()
    ]
    with Questions() as questions:
        terms = method(
            *maps, torch.zeros(2, 128, 128, dtype=torch.uint8), StepContext(step=0, sample_seeds=(1, 2))
        )
        torch.stack(list(terms.values())).sum().backward()
    assert questions.noted == []


def test_the_losses_are_summed_and_copied_without_being_read(tmp_path: Path):
    subject, late = lesson(tmp_path), LateValues()
    with Questions() as questions:
        late.ask(1, subject.trainer.mean_losses_on_device())
    assert questions.noted == []
    assert late.arrived() == (1, pytest.approx(subject.trainer.mean_losses()))
    assert late.arrived() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_of_af_dcd_never_waits_on_a_gpu(tmp_path: Path):
    subject = lesson(tmp_path, compute={"device": "cuda", "precision": "bf16"})
    torch.cuda.set_sync_debug_mode("error")
    try:
        subject.take_step()
        LateValues().ask(1, subject.trainer.mean_losses_on_device())
    finally:
        torch.cuda.set_sync_debug_mode("default")


def updates(network: nn.Module) -> Iterator[nn.Module]:
    """Some steps of training: weights, statistics and the count of batches move."""
    for number in range(4):
        network(torch.full((4, 3), float(number)))
        for parameter in network.parameters():
            parameter.data.add_(0.1 * number)
        yield network


def test_the_average_is_torchs_bit_for_bit_also_after_its_state_was_loaded():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    rule = get_ema_multi_avg_fn(0.9)
    reference = AveragedModel(deepcopy(network), multi_avg_fn=rule, use_buffers=True)
    average = Average(deepcopy(network), 0.9)
    for number, current in enumerate(updates(network)):
        reference.update_parameters(current)
        average.update_parameters(current)
        if number == 1:
            state = deepcopy(reference.state_dict())
            average = Average(deepcopy(network), 0.9)
            average.load_state_dict(state)
    torch.testing.assert_close(average.state_dict(), reference.state_dict(), rtol=0, atol=0)


def test_batches_are_pinned_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pinned: list[tuple[int, ...]] = []

    def pin(tensor: Tensor, *_: object) -> Tensor:
        pinned.append(tuple(tensor.shape))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    config = tiny_config(tmp_path)
    options = {"mean_rgb": (0, 0, 0), "batch": 2, "seed": 0}
    batches = {
        pins: next(
            TrainLoader(noise_like(config), AugmentConfig(crop=(32, 64)), pins=pins, **options).batches(0, 1)
        )
        for pins in (False, True)
    }
    assert pinned == [(2, 32, 64, 3), (2, 32, 64)]
    assert isinstance(batches[True], Batch)
    assert batches[True].sample_seeds == batches[False].sample_seeds


def test_a_copy_to_the_cpu_is_the_tensor_itself():
    tensor = torch.arange(3)
    assert to_device(tensor, torch.device("cpu")) is tensor
