"""Long lists of numbers are read in pieces, and the result is that of `json.loads`."""

import json

import numpy as np
import pytest

from serve.errors import InferRequestError
from serve.oip.elements import pixels_of
from serve.oip.long_lists import LONG_BYTES, LongList, take_out
from serve.oip.request import InferRequest, parse_request

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 100, 120, 3), dtype=np.uint8)
FLAT = json.dumps(PIXELS.ravel().tolist())


def request(data: str, more: str = "") -> InferRequest:
    shape = list(PIXELS.shape)
    tensor = f'{{"name": "image", "datatype": "UINT8", "shape": {shape}, "data": {data}{more}}}'
    return parse_request(
        f'{{"id": "7", "inputs": [{tensor}], "outputs": [{{"name": "mask"}}]}}'.encode(), None
    )


@pytest.mark.parametrize("more", ["", ', "parameters": {"data": [1]}'])
@pytest.mark.parametrize(
    "data",
    [FLAT, json.dumps(PIXELS.tolist()), json.dumps(PIXELS.tolist(), indent=1), FLAT.replace(" ", "")],
    ids=["flat", "nested", "indented", "compact"],
)
def test_a_long_list_is_what_it_says(data, more):
    asked = request(data, more)
    assert isinstance(asked.inputs[0].content, LongList)
    np.testing.assert_array_equal(pixels_of(asked.inputs[0]), PIXELS)
    assert [output.name for output in asked.outputs] == ["mask"]


@pytest.mark.parametrize(
    "data",
    [
        FLAT[:-1],
        FLAT + "]",
        FLAT[:-1] + ",]",
        FLAT.replace(", ", ",, ", 1),
        FLAT.replace(", ", "][", 1),
        FLAT.replace(", ", " ", 1),
        FLAT[:-1] + ", 256]",
        FLAT[:-1] + ", 1.5]",
    ],
)
def test_a_long_list_that_is_wrong_is_refused(data):
    with pytest.raises(InferRequestError):
        pixels_of(request(data).inputs[0])


def test_only_long_values_of_data_are_taken_out():
    text = json.dumps({"id": 'the "data": [1]', "data": [1, 2], "shape": [1] * LONG_BYTES}).encode()
    assert take_out(text) == (text, {})


def test_what_remains_is_limited():
    with pytest.raises(InferRequestError, match="Send image files as binary data"):
        parse_request(json.dumps({"inputs": [], "more": "x" * (1 << 20)}).encode(), None)
