"""What a file shows without an image: constants and rules that are not those of the exported graph."""

import numpy as np
import onnx
import pytest

from export.graph_faults import graph_faults
from export.kernels import kernels
from export.targets import TARGETS
from export.targets.target import BuildContext
from tests.export.planted_faults import (
    HEAD,
    STEM,
    align_corners_flipped,
    change,
    constant,
    copy_of,
    nan_weight,
    nearest_for_bilinear,
    noise,
    shuffled_class,
    spoilt,
    swapped_channels,
    weights_of_another_seed,
)
from tests.export.precision_graphs import KERNELS, float32_around_float16, in_float16, in_float32, in_int8

INT8_STEP = 0.05
"""Of the small graphs' quantised kernels; see their SCALE."""


@pytest.mark.parametrize("build", [in_float32, in_float16, float32_around_float16, in_int8])
def test_kernels_are_found_whatever_they_are_stored_as(build):
    found = kernels(build())
    assert found.keys() == {"first", "second"}
    for kernel, due in zip(found.values(), KERNELS, strict=True):
        np.testing.assert_allclose(kernel, due, atol=INT8_STEP / 2 + 1e-6)


def test_the_exported_graph_and_its_roundings_are_without_fault(tiny_graph, open_gate, tmp_path):
    path = tmp_path / "half.onnx"
    TARGETS["onnx-fp16"].build(BuildContext(tiny_graph, open_gate().config, ()), path)
    assert list(graph_faults(tiny_graph, tiny_graph)) == []
    assert list(graph_faults(onnx.load(path), tiny_graph)) == []


def test_rounding_to_int8_is_without_fault():
    assert list(graph_faults(in_int8(), in_float32())) == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (nan_weight, "1 of its constants hold NaN, first network.stem"),
        (noise, "it draws random numbers (draw)"),
        (align_corners_flipped, "its Resize nodes are 1 x (half_pixel linear"),
        (nearest_for_bilinear, "its Resize nodes are 1 x (asymmetric nearest"),
        (shuffled_class, "1 of 2 kernels are not those of the exported graph"),
        (swapped_channels, "1 of 2 kernels are not those of the exported graph"),
        (weights_of_another_seed, "2 of 2 kernels are not those of the exported graph"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_is_told_from_the_file(tiny_graph, fault, sentence):
    assert any(sentence in found for found in graph_faults(spoilt(tiny_graph, fault), tiny_graph))


@pytest.mark.parametrize(("share", "is_found"), [(0.02, False), (0.2, True)])
def test_kernels_may_be_rounded_and_not_trained_further(tiny_graph, share, is_found):
    model = copy_of(tiny_graph)
    seeded = np.random.default_rng(0)
    for shape in (STEM, HEAD):
        change(
            constant(model, shape),
            lambda kernel: (kernel + share * kernel.std() * seeded.normal(size=kernel.shape)).astype(
                kernel.dtype
            ),
        )
    assert bool(list(graph_faults(model, tiny_graph))) == is_found
