"""Backends of omni-contrasting: each against the definition, and which one computes what."""

import logging
import sys

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from distill.losses import contrasting
from distill.losses.contrast import omni_contrast
from distill.losses.contrasting import demanding, numba_patches
from distill.losses.contrasting.problem import Problem
from modelpack.errors import RuntimeUnavailableError, UnknownNameError
from tests.distill.backend_cases import check, problems
from tests.distill.contrast_cases import PUBLISHED, gradient, pair

ON_THE_CPU = ["numba", "torch"]


@pytest.fixture(params=ON_THE_CPU)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("name", ON_THE_CPU)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(problem=problems)
def test_agrees_with_the_definition_in_float64(name, problem):
    check(name, problem)


def published_gradient_error(backend: str) -> float:
    """Relative, of the gradient, at the published width, groups, patch and temperature."""
    student, teacher = pair(1, 2048, 4, 8, dtype=torch.float32)
    published = {"groups": 16, "patch": (4, 4), "temperature": 0.07}

    def loss_of(*maps: Tensor) -> Tensor:
        return omni_contrast(*maps, **published)

    exact, _ = gradient(loss_of, student.double(), teacher.double())
    with demanding(backend):
        ours, _ = gradient(loss_of, student, teacher)
    return float((ours.double() - exact).norm() / exact.norm())


def test_gradients_of_2048_channels_keep_five_digits(backend):
    assert published_gradient_error(backend) < 1e-5


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_gradients_are_the_numerical_ones(backend, distance):
    apart = 0.1  # student values lie between those of the teacher, so that a small step crosses none
    student, teacher = (torch.round(4 * maps) / 4 for maps in pair(1, 6, 2, 4, dtype=torch.float32))
    student = (student + apart).requires_grad_()
    teacher.requires_grad_()
    with demanding(backend):
        assert torch.autograd.gradcheck(
            lambda s, t: omni_contrast(
                s, t, distance=distance, **PUBLISHED | {"groups": 2, "temperature": 2.0}
            ),
            (student, teacher),
            eps=apart / 5,
            atol=2e-3,
            rtol=0.0,
        )


def test_what_is_not_a_number_stays_visible(backend):
    student, teacher = pair(1, 8, 4, 4, dtype=torch.float32)
    student[0, 3, 1, 2] = torch.nan
    with demanding(backend):
        assert omni_contrast(student, teacher, **PUBLISHED).isnan()


def test_does_not_depend_on_the_number_of_threads(backend):
    maps = pair(2, 8, 6, 6, dtype=torch.float32)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 4):
        torch.set_num_threads(count)
        try:
            with demanding(backend):
                results.append(gradient(lambda s, t: omni_contrast(s, t, **PUBLISHED), *maps))
        finally:
            torch.set_num_threads(threads)
    for one, several in zip(*results, strict=True):
        assert torch.equal(one, several)


def problem_of(dtype: torch.dtype, *, wants_teacher: bool = False) -> Problem:
    maps = pair(1, 8, 4, 4, dtype=dtype)
    scale = torch.ones(1, dtype=dtype)
    return Problem(*maps, scale, 4, (2, 2), "cross_group", "l1", True, wants_teacher)


@pytest.mark.parametrize(
    ("dtype", "file"), [(torch.float32, "numba_patches"), (torch.float64, "torch_blocks")], ids=str
)
def test_the_fastest_that_can_is_chosen(dtype, file):
    assert type(contrasting.choose_backend(problem_of(dtype))).__module__.endswith(file)


def test_the_choice_and_its_reasons_are_logged_once(caplog):
    contrasting._say.cache_clear()
    with caplog.at_level(logging.INFO, logger=contrasting.__name__):
        for _ in range(2):
            contrasting.choose_backend(problem_of(torch.float64))
    (line,) = caplog.messages
    assert line.startswith("omni-contrasting on cpu by torch (not triton: it computes on CUDA; not numba: ")


def test_without_numba_torch_computes_and_the_way_out_is_named(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    numba_patches._kernel.cache_clear()
    contrasting._say.cache_clear()
    with caplog.at_level(logging.INFO, logger=contrasting.__name__):
        chosen = contrasting.choose_backend(problem_of(torch.float32))
    numba_patches._kernel.cache_clear()
    assert type(chosen).__module__.endswith("torch_blocks")
    assert "pip install 'afdcd[numba]'" in caplog.text


def test_a_demand_that_cannot_be_met_is_refused():
    with demanding("numba"), pytest.raises(RuntimeUnavailableError, match=r"AFDCD_CONTRAST=numba .*float64"):
        contrasting.choose_backend(problem_of(torch.float64))


def test_an_unknown_backend_is_named():
    with demanding("trition"), pytest.raises(UnknownNameError, match=r"contrast backend 'trition'.*'triton'"):
        contrasting.choose_backend(problem_of(torch.float32))


def test_what_was_demanded_before_is_demanded_again(monkeypatch):
    monkeypatch.setenv(contrasting.VARIABLE, "torch")
    with demanding("numba"):
        pass
    assert type(contrasting.choose_backend(problem_of(torch.float32))).__module__.endswith("torch_blocks")
