"""CIRKD: what its settings ask for, in which order it works, and that nothing of it is lost between steps."""

import copy
import io
import logging

import pytest
import torch

from distill.losses.memory_relations import memory_relations
from distill.losses.pixel_relations import pixel_relations
from distill.losses.unit_vectors import unit_vectors
from distill.methods.cirkd import CirkdSettings, average_cells
from distill.methods.label_grid import labels_on_grid
from distill.replay import run_replay
from modelpack.errors import SettingsError
from modelpack.settings import parse_settings
from tests.distill.cirkd_cases import (
    SIDE,
    TEACHER_WIDTH,
    context,
    features,
    labels,
    small_cirkd,
    take_step,
)
from tests.distill.feature_pairs import CLASSES, built, noise, output_of, terms_of
from tests.distill.test_replay import changed

GRID = {"covers": (2 * SIDE, 2 * SIDE), "grid": (SIDE, SIDE)}

OTHER_OPTIONS = {
    "cirkd_minibatch_case2": [{"temperature": 0.2}, {"avg_pool_2x2_ceil": False}],
    "cirkd_memory_case1": [
        {"contrast_temperature": 0.2},
        {"contrast_kd_temperature": 2.0},
        {"enqueue_pixels_per_class_per_image": 3},
        {"ignore_label": 0},
        {"bn_eps": 0.1},
        {"bn_momentum": 0.2},
    ],
}


@pytest.mark.parametrize(
    ("name", "meta"), [(name, meta) for name, metas in OTHER_OPTIONS.items() for meta in metas], ids=str
)
def test_replay_reads_its_options_from_the_file(tmp_path, name, meta):
    lines, is_right = run_replay([changed(tmp_path, f"{name}.npz", meta=meta)])
    assert not is_right, lines


@pytest.mark.parametrize(
    ("classes", "pixels", "regions"), [(19, 216, 54), (11, 373, 94), (21, 196, 49)], ids=str
)
def test_compares_with_as_many_embeddings_as_published(classes, pixels, regions):
    assert CirkdSettings().contrasts(classes) == {"pixel": pixels, "region": regions}


def test_states_what_its_memory_takes(caplog):
    with caplog.at_level(logging.INFO):
        method = small_cirkd()
    held = sum(bank.vectors.nbytes for bank in method.memory.banks.values())
    assert method.settings.memory_bytes(CLASSES, TEACHER_WIDTH) == held
    assert CirkdSettings(region_weight=0).memory_bytes(19, 256) == 389_120_000
    assert "cirkd: the memory takes 0.000 GB on the device and in every checkpoint" in caplog.text


def test_batch_alone_needs_no_labels_no_head_and_no_memory():
    method = small_cirkd(pixel_weight=0, region_weight=0)
    assert method.settings.weights() == {"minibatch": 1.0}
    assert not method.settings.needs_labels()
    assert method.state_dict() == {}
    terms, _ = take_step(method)
    assert terms.keys() == {"minibatch"}


def test_only_the_memories_that_are_asked_for_are_there():
    method = small_cirkd(minibatch_weight=0, pixel_weight=0)
    assert method.settings.needs_labels()
    assert list(method.memory.banks) == ["region"]
    terms, _ = take_step(method)
    assert terms.keys() == {"region"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minibatch_weight": 0, "pixel_weight": 0, "region_weight": 0}, "no term has a weight"),
        ({"pixel_memory": 8}, r"enqueued_pixels \(16\) must not exceed pixel_memory \(8\)"),
        ({"enqueue": "all"}, "enqueue"),
        ({"group": 0}, "group"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        parse_settings(CirkdSettings, values, "methods.0")


def test_comparing_with_more_than_is_remembered_is_refused():
    with pytest.raises(
        SettingsError, match=r"257 regions of each of 4 classes, but region_memory is 200\. Enl"
    ):
        built("cirkd", 3, 5, region_memory=200)


def test_remembers_the_batch_before_it_compares_with_the_memory():
    method = small_cirkd(memory_temperature=0.2, memory_kd_temperature=3.0)
    twin = copy.deepcopy(method)
    terms, _ = take_step(method)
    taught = unit_vectors(features("teacher"))
    of_cells = labels_on_grid(labels(), **GRID)
    twin.memory.remember(taught, of_cells, context())
    remembered = twin.memory.draw(twin.contrasts, context())
    embedded = unit_vectors(twin.head(features("student")))
    for term in ("pixel", "region"):
        expected = memory_relations(
            embedded, taught, remembered[term], of_cells != 255, temperature=0.2, kd_temperature=3.0
        )
        torch.testing.assert_close(terms[term], expected.detach())


def test_batch_term_is_that_of_averaged_maps_in_groups():
    terms, _ = take_step(small_cirkd(group=3, pool=3, minibatch_temperature=0.2))
    pooled = [average_cells(features(role), 3) for role in ("student", "teacher")]
    torch.testing.assert_close(terms["minibatch"], pixel_relations(*pooled, temperature=0.2, group=3))


def test_windows_at_the_border_are_means_of_what_is_there():
    averaged = average_cells(torch.arange(9.0).view(1, 1, 3, 3), 2)
    assert averaged.flatten().tolist() == [2, 3.5, 6.5, 8]


def test_a_student_on_a_coarser_grid_is_brought_onto_the_teachers():
    method = built("cirkd", 3, 5, minibatch_weight=1, pixel_weight=0, region_weight=0)
    coarse, fine = noise(2, 3, 3, 3, seed=1), noise(2, 5, 5, 5, seed=2)
    terms = terms_of(method, output_of(coarse), output_of(fine))
    resized = torch.nn.functional.interpolate(coarse, size=(5, 5), mode="bilinear", align_corners=True)
    torch.testing.assert_close(terms["minibatch"], pixel_relations(resized, fine, temperature=0.1, group=2))


def test_nothing_labelled_costs_the_memory_terms_nothing_and_leaves_the_memory_alone():
    method = small_cirkd(minibatch_weight=0)
    before = copy.deepcopy(method.memory.state_dict())
    terms, gradient = take_step(method, target=torch.full_like(labels(), 255))
    assert [value.item() for value in terms.values()] == [0, 0]
    assert gradient.abs().max() == 0
    assert all(torch.equal(value, before[name]) for name, value in method.memory.state_dict().items())
    assert all(parameter.grad.abs().max() == 0 for parameter in method.head.parameters())


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_pixels_that_the_head_makes_zero_send_no_gradient(autocast):
    method = small_cirkd(minibatch_weight=0)
    torch.nn.init.constant_(method.head[1].bias, -100)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        terms, gradient = take_step(method)
    assert all(torch.isfinite(value) for value in terms.values())
    assert gradient.abs().max() == 0
    assert all(parameter.grad.abs().max() == 0 for parameter in method.head.parameters())


def test_head_and_student_learn_under_autocast():
    method = small_cirkd()
    with torch.autocast("cpu", torch.bfloat16):
        terms, gradient = take_step(method)
    assert all(value.dtype == torch.float32 for value in terms.values())
    assert gradient.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.head.parameters())


def test_a_run_that_is_saved_and_resumed_goes_on_with_the_same_bits():
    whole = small_cirkd()
    take_step(whole, step=0)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    resumed = built("cirkd", 3, 5, **whole.settings.model_dump(exclude={"name"}))
    torch.nn.init.zeros_(resumed.memory.banks["pixel"].vectors)
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    results = [take_step(method, step=1) for method in (whole, resumed)]
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert whole.memory.banks["pixel"].pointers.sum() > 0
