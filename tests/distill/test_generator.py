"""The generators of Af-DCD: what they compute and cost, on which map, and how they are chosen."""

import json
import logging
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from distill.__main__ import app
from distill.losses.contrast import omni_contrast
from distill.losses.imitation import imitation
from distill.methods.afdcd import AfDcdSettings, build_afdcd
from distill.methods.generator import GENERATORS, build_generator
from distill.methods.generator_cost import GeneratorCost, generator_cost
from distill.methods.masks import random_mask
from distill.methods.method import Pair, StepContext
from distill.networks.output import FeatureInfo, SegOutput
from distill.step_bench.subject import set_up
from modelpack.command import run
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, as_config, tiny_values

CHEAPER = ["bottleneck", "grouped", "separable"]
CHANNELS = 32
CONTEXT = StepContext(step=0, sample_seeds=(11, 12))
POOLED = {"generator_on": "pooled", "reduce": "pool(2)", "groups": 4, "patch": 2, "mask_ratio": 0.5}
"""Two patches of a map of 9x11, which pooling and patches do not divide."""


def output(channels: int, height: int, width: int, seed: int) -> SegOutput:
    maps = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed))
    return SegOutput(torch.zeros(2, 3, height, width), None, {"stage4": maps.requires_grad_()}, (64, 64))


def pair(student: int, teacher: int, image_size: tuple[int, int] | None = None) -> Pair:
    infos = ({"stage4": FeatureInfo(channels, 8)} for channels in (student, teacher))
    return Pair(*infos, num_classes=3, image_size=image_size)


def cost(kind: str, channels: int, *grid: int) -> GeneratorCost:
    with torch.device("meta"):
        return generator_cost(build_generator(kind, channels), (grid[0], grid[1]))


def settings(**changes: object) -> AfDcdSettings:
    return parse_settings(AfDcdSettings, {"name": "afdcd"} | changes, "methods.0")


@pytest.mark.parametrize(
    ("kind", "reach"),
    [("plain", 2), ("enhanced", 3), ("bottleneck", 2), ("grouped(4)", 2), ("separable", 2)],
)
def test_a_pixel_is_generated_from_those_around_it_and_from_every_channel(kind: str, reach: int):
    torch.manual_seed(0)
    generator = build_generator(kind, CHANNELS).double()
    maps = torch.randn(1, CHANNELS, 9, 11, dtype=torch.float64, requires_grad=True)
    (reached,) = torch.autograd.grad(generator(maps)[0, 5, 4, 5], maps)
    rows, columns = (reached[0] != 0).any(dim=0).nonzero().unbind(dim=1)
    assert (rows.min(), rows.max()) == (4 - reach, 4 + reach)
    assert (columns.min(), columns.max()) == (5 - reach, 5 + reach)
    assert (reached[0] != 0).any(dim=(1, 2)).all()


def test_every_kind_keeps_the_shape_of_the_map():
    assert {name: build_generator(name, 16)(torch.zeros(2, 16, 3, 5)).shape for name in GENERATORS} == (
        dict.fromkeys(GENERATORS, (2, 16, 3, 5))
    )


@pytest.mark.parametrize("kind", CHEAPER)
def test_a_cheaper_kind_has_a_fraction_of_the_published_cost(kind: str):
    plain, cheaper = cost("plain", 256, 6, 8), cost(kind, 256, 6, 8)
    assert cheaper.parameters < plain.parameters / 8
    assert cheaper.macs < plain.macs / 8


def test_published_generators_cost_at_2048_channels_what_the_paper_s_networks_do():
    plain, enhanced = (cost(kind, 2048, 64, 128) for kind in ("plain", "enhanced"))
    assert plain.parameters == 2 * (9 * 2048**2 + 2048)
    assert plain.macs == 2 * 9 * 2048**2 * 64 * 128
    assert enhanced == (2 * plain.parameters, 2 * plain.macs)


@pytest.mark.parametrize(
    ("generator", "formula"),
    [
        ("bottleneck(2)", 2 * 32 * 16 + 2 * 9 * 16**2),
        ("grouped(8)", 2 * 9 * 32 * 4),
        ("separable", 2 * (9 * 32 + 32**2)),
    ],
)
def test_a_number_is_the_reduction_or_the_groups(generator: str, formula: int):
    assert cost(generator, CHANNELS, 1, 1).macs == formula


def test_the_list_counts_every_kind_that_computes_something(capsys: pytest.CaptureFixture[str]):
    assert run(app, ["list", "generators", "--map", "128x20x28", "--json"], "afdcd distill") == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["generators"]
    assert [row["name"] for row in rows] == ["plain", "enhanced", "bottleneck(4)", "grouped(16)", "separable"]
    assert rows[0] == {"name": "plain", "map": [128, 20, 28], **cost("plain", 128, 20, 28)._asdict()} | {
        "times_fewer_macs": 1.0
    }
    assert rows[3]["times_fewer_macs"] == 16.0


@pytest.mark.parametrize("size", ["128x20", "128x20x0", "128x20xa"])
def test_a_map_that_is_none_is_explained(size: str, capsys: pytest.CaptureFixture[str]):
    assert run(app, ["list", "generators", "--map", size], "afdcd distill") == 2
    assert f"--map '{size}' is not CHANNELSxHEIGHTxWIDTH" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("generator", [*CHEAPER, "plain"])
def test_the_choice_and_its_cost_are_logged(generator: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    build_afdcd(settings(generator=generator), pair(8, 2048 // 16, (360, 360)))
    parameters, macs = cost(generator, 128, 45, 45)
    assert (
        f"generator {generator} on 128 x 45 x 45: {parameters / 1e6:.2f} M parameters, {macs / 1e9:.2f} GMAC"
        in caplog.text
    )


def test_a_pooled_map_is_aligned_pooled_masked_and_generated_in_this_order():
    method = build_afdcd(settings(**POOLED), pair(6, 8))
    student, teacher = output(6, 9, 11, seed=0), output(8, 9, 11, seed=1)
    terms = method(student, teacher, torch.zeros(2, 64, 64, dtype=torch.uint8), CONTEXT)
    aligned = F.max_pool2d(method.path.align(student.feature("stage4")), 2)
    taught = F.max_pool2d(teacher.feature("stage4"), 2).detach()
    mask = random_mask(CONTEXT.uniform(4, 5, torch.device("cpu")), 0.5)
    generated = method.path.generator(aligned * mask)
    expected = {
        "imitation": imitation(generated, taught),
        "contrast": omni_contrast(
            *(maps[..., :4, :4] for maps in (generated, taught)), groups=4, patch=(2, 2), temperature=0.07
        ),
    }
    torch.testing.assert_close(terms, expected)
    sum(terms.values()).backward()
    assert teacher.feature("stage4").grad is None
    assert all(p.grad.abs().sum() > 0 for p in method.parameters())


@pytest.mark.parametrize("kind", [*CHEAPER, "plain"])
@pytest.mark.parametrize("on", ["full", "pooled"])
def test_gradients_of_the_halves_of_a_batch_average_to_those_of_the_whole(kind: str, on: str):
    generator = f"{kind}(4)" if GENERATORS[kind].number else kind
    method = build_afdcd(
        settings(**POOLED | {"generator": generator, "generator_on": on}), pair(6, 8)
    ).double()
    maps = [output(6, 9, 11, seed=0), output(8, 9, 11, seed=1)]
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    gradients = []
    for shard in (slice(0, 2), slice(0, 1), slice(1, 2)):
        parts = [
            SegOutput(m.logits[shard], None, {"stage4": m.feature("stage4")[shard].double()}, (64, 64))
            for m in maps
        ]
        context = StepContext(step=0, sample_seeds=CONTEXT.sample_seeds[shard])
        loss = sum(method(*parts, labels[shard], context).values())
        gradients.append(torch.autograd.grad(loss, list(method.parameters())))
    for whole, first, second in zip(*gradients, strict=True):
        torch.testing.assert_close((first + second) / 2, whole)


def test_a_pooled_map_costs_less_by_the_square_of_the_pooling(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    build_afdcd(settings(generator_on="pooled"), pair(8, 128, (512, 1024)))
    macs = cost("plain", 128, 64, 128).macs / 16
    assert f"generator plain on 128 x 16 x 32: 0.30 M parameters, {macs / 1e9:.2f} GMAC" in caplog.text


def test_a_map_smaller_than_the_pooling_is_explained():
    method = build_afdcd(settings(**POOLED), pair(8, 8))
    maps = output(8, 1, 8, seed=0), output(8, 1, 8, seed=1)
    with pytest.raises(ShapeError, match=r"1x8 feature map, reduced by pool\(2\)"):
        method(*maps, torch.zeros(2, 64, 64, dtype=torch.uint8), CONTEXT)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"generator": "plian"}, r"generator: a generator is one of plain, .*bottleneck\(N\).* got 'plian'"),
        ({"generator": "plain(4)"}, "got 'plain\\(4\\)'"),
        ({"generator": "grouped(0)"}, "N from 1 up"),
        ({"generator": "bottleneck(4"}, "got 'bottleneck\\(4'"),
        ({"generator_on": "pooled", "reduce": "crop"}, r"nothing to pool by with reduce: crop\. Give reduce"),
    ],
)
def test_a_setting_without_a_meaning_is_one_sentence(changes: dict[str, object], sentence: str):
    with pytest.raises(SettingsError, match=sentence):
        settings(**changes)


@pytest.mark.parametrize("generator", ["bottleneck(3)", "grouped(3)"])
def test_a_number_that_does_not_divide_the_teacher_names_those_that_do(generator: str):
    with pytest.raises(ShapeError, match=r"3 does not divide the 8 channels .*1, 2, 4, 8\."):
        build_afdcd(settings(generator=generator, groups=4), pair(8, 8))


@pytest.mark.parametrize(
    "changes",
    [*({"generator": kind} for kind in CHEAPER), {"generator": "separable", "generator_on": "pooled"}],
    ids=lambda changes: "-".join(changes.values()),
)
def test_two_steps_and_one_resumed_after_the_first_end_with_the_same_bits(
    changes: dict[str, object], tmp_path: Path
):
    config = as_config(tiny_values(tmp_path, teacher=NETWORK, methods=[KD, AFDCD | changes]))
    whole, resumed = set_up(config), set_up(config)
    before = [parameter.clone() for parameter in whole.trainer.step.adapter_parameters()]
    whole.take_step()
    resumed.trainer.restore(deepcopy(whole.trainer.state()))
    whole.take_step()
    next(resumed.batches)
    resumed.done = 1
    resumed.take_step()
    adapters = whole.trainer.step.adapter_parameters()
    assert before
    assert not any(torch.equal(*both) for both in zip(before, adapters, strict=True))
    ends = (subject.trainer.step.state_dict() for subject in (whole, resumed))
    torch.testing.assert_close(*ends, rtol=0, atol=0)
