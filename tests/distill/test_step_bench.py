"""Timing of a training step: its parts, what is compared, and what is written. No time is asserted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import distill.methods.afdcd
import distill.step
from distill.losses.contrast import omni_contrast
from distill.losses.task import task_loss
from distill.step_bench.edges import with_edge
from distill.step_bench.formulations import omni_contrast_as_published
from distill.step_bench.instrument import instrumented
from distill.step_bench.intervals import median_ratio
from distill.step_bench.noise import CLASSES, noise_like
from distill.step_bench.report import render_markdown
from distill.step_bench.result import StepBench
from distill.step_bench.stage import bench_step
from distill.step_bench.subject import set_up
from distill.step_bench.timeline import HostClock, Timeline
from modelpack.errors import UsageError
from tests.distill.contrast_cases import EXACT, PUBLISHED, gradient, pair
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, as_config, tiny_config, tiny_values

FORWARD = {"student", "task_loss", "kd: logit_kd", "afdcd: align", "afdcd: generator", "afdcd: imitation"}
PARTS = {
    *FORWARD,
    *(f"{name}, backward" for name in FORWARD),
    *("waiting for data", "teacher", "afdcd: omni_contrast", "afdcd: omni_contrast, backward"),
    *("clipping", "optimiser", "rest"),
}


def lesson(output: Path, **over: Any) -> dict[str, Any]:
    """Distilled with logits and Af-DCD from a teacher that has no checkpoint."""
    return tiny_values(output, teacher=NETWORK, methods=[KD, AFDCD], **over)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def measured(output: Path) -> StepBench:
    """Two rounds of one step, against the published formulation."""
    config = as_config(lesson(output))
    return bench_step(config, against="published", steps=1, rounds=2, max_windows=1)


class CountingClock:
    """Every moment is one millisecond after the one before."""

    def __init__(self) -> None:
        self.moments = 0

    def now(self) -> int:
        self.moments += 1
        return self.moments

    def wait(self) -> None:
        pass

    def ms_between(self, earlier: int, later: int) -> float:
        return float(later - earlier)


def test_a_part_is_not_charged_for_those_within_it():
    timeline = Timeline(CountingClock())
    with timeline.step(), timeline.part("outer"), timeline.part("inner"):
        pass
    assert timeline.collect() == [{"rest": 2.0, "outer": 2.0, "inner": 1.0}]


def test_leaving_a_part_ends_what_was_left_open_within_it():
    timeline = Timeline(CountingClock())
    with timeline.step():
        timeline.enter("outer")
        timeline.enter("inner")
        timeline.leave("outer")
        timeline.leave("never entered")
    assert timeline.collect() == [{"rest": 2.0, "outer": 1.0, "inner": 1.0}]


class Pieces(NamedTuple):
    first: Tensor
    rest: list[Tensor]


@dataclass(frozen=True)
class Holder:
    pieces: Pieces
    name: str


def test_an_edge_passes_values_and_gradients_of_any_tree():
    leaf = torch.arange(3.0, requires_grad=True)
    called: list[str] = []
    holder = Holder(Pieces(leaf * 2, [leaf * 3, torch.ones(3)]), "kept")
    passed, receives = with_edge(holder, lambda: called.append("back"))
    (passed.pieces.first + passed.pieces.rest[0] * passed.pieces.rest[1]).sum().backward()
    assert receives
    assert (passed.name, called) == ("kept", ["back"])
    assert torch.equal(leaf.grad, torch.full((3,), 5.0))


def test_an_edge_knows_where_no_gradient_goes():
    fixed = torch.ones(2)
    passed, receives = with_edge([fixed], lambda: None)
    assert not receives
    assert passed[0] is fixed


def test_every_part_of_the_step_is_named(measured: StepBench):
    for side in measured.sides:
        assert {part.name for part in side.parts} >= PARTS, side.formulation


def test_shares_add_up_to_the_step(measured: StepBench):
    for side in measured.sides:
        assert sum(part.share for part in side.parts) == pytest.approx(1)
        assert all(part.share >= 0 for part in side.parts)


def test_what_the_share_of_the_loss_allows_follows_from_the_raw_times(measured: StepBench):
    published, _ = measured.sides
    steps = [parts for visit in published.rounds_ms for parts in visit]
    loss = sum(ms for parts in steps for name, ms in parts.items() if name.startswith("afdcd: omni_contrast"))
    share = loss / sum(sum(parts.values()) for parts in steps)
    assert measured.comparison is not None
    assert measured.comparison.loss_share.value == pytest.approx(share)
    assert measured.comparison.limit.value == pytest.approx(1 / (1 - share))


def test_formulations_are_measured_in_turn_and_as_often(measured: StepBench):
    assert [side.formulation for side in measured.sides] == ["published", "ours"]
    assert all([len(visit) for visit in side.rounds_ms] == [1, 1] for side in measured.sides)


def test_the_files_hold_the_result(measured: StepBench, output: Path):
    folder = output / "bench-train"
    assert StepBench.model_validate_json((folder / "step.json").read_text()) == measured
    assert (folder / "step.md").read_text() == render_markdown(measured)
    assert (folder / "step.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_has_a_line_for_every_part_and_a_verdict(measured: StepBench):
    report = render_markdown(measured)
    for part in measured.sides[0].parts:
        assert f"\n| {part.name} |" in report
    assert "allows at most" in report


def parameters_after_a_step(output: Path, *, is_instrumented: bool) -> Iterator[Tensor]:
    subject = set_up(as_config(lesson(output)))
    if is_instrumented:
        with instrumented(subject.trainer.step, subject.trainer.timeline):
            subject.take_step()
    else:
        subject.take_step()
    return subject.trainer.step.parameters()


def test_measuring_changes_no_bit_of_the_step(tmp_path: Path):
    plain, timed = (
        parameters_after_a_step(tmp_path, is_instrumented=is_instrumented)
        for is_instrumented in (False, True)
    )
    assert all(torch.equal(*both) for both in zip(plain, timed, strict=True))


def test_nothing_stays_on_the_timeline_afterwards(tmp_path: Path):
    subject = set_up(as_config(lesson(tmp_path)))
    timeline = Timeline(HostClock())
    with instrumented(subject.trainer.step, timeline):
        assert distill.methods.afdcd.omni_contrast is not omni_contrast
    assert distill.methods.afdcd.omni_contrast is omni_contrast
    assert distill.step.task_loss is task_loss
    hooks = [
        hook for m in subject.trainer.step.modules() for hook in (*m._forward_hooks, *m._forward_pre_hooks)
    ]
    assert hooks == []


@pytest.mark.parametrize("normalisation", ["published", "per_element"])
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_both_formulations_have_one_value_and_gradient(normalisation: str, distance: str):
    maps = pair(2, 8, 4, 4)
    options = PUBLISHED | {"distance": distance, "normalisation": normalisation}
    ours, published = (
        (form(*maps, **options), gradient(lambda s, form=form: form(s, maps[1], **options), maps[0])[0])
        for form in (omni_contrast, omni_contrast_as_published)
    )
    torch.testing.assert_close(published[0], ours[0], rtol=EXACT, atol=EXACT)
    torch.testing.assert_close(published[1], ours[1], rtol=1e-9, atol=1e-11)


def test_a_ratio_lies_within_its_interval():
    ratio = median_ratio([[4.0, 4.2], [3.9, 4.1], [4.4, 4.0]], [[2.0, 2.1], [1.9, 2.0], [2.2, 2.0]])
    assert ratio.value == pytest.approx(4.05 / 2.0)
    assert ratio.lower <= ratio.value <= ratio.upper


def test_noise_has_the_crop_of_the_recipe_and_stands_in_for_a_missing_dataset(tmp_path: Path):
    config = tiny_config(tmp_path)
    here = noise_like(config)
    assert (here[3].image_hwc.shape, here[3].mask_hw.shape) == ((32, 64, 3), (32, 64))
    assert here.labels.num_classes == 11
    elsewhere = tiny_values(tmp_path) | {"data": {"name": "camvid", "root": str(tmp_path / "nowhere")}}
    assert noise_like(as_config(elsewhere)).labels.num_classes == CLASSES


def test_a_comparison_needs_a_contrastive_term(tmp_path: Path):
    config = as_config(tiny_values(tmp_path, teacher=NETWORK, methods=[KD]))
    with pytest.raises(UsageError, match=r"--against published .* \(methods: kd\).*--variant NAME"):
        bench_step(config, against="published")
