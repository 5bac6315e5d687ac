"""Where `/v2` says no: the status, and a body that `tritonclient` can read."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serve import ServeSettings
from serve.errors import InferRequestError
from serve.oip.elements import files_of
from serve.oip.request import parse_request
from tests.serve.conftest import SIZE, app_client
from tests.serve.pictures import gradient, png
from tests.serve.tritons import HEADER_LENGTH, binary_request, described, element, error_of

IMAGE = gradient(*SIZE)
PIXELS = IMAGE.tobytes()
GOOD = png(IMAGE)
SHAPE = [1, *SIZE, 3]
IMAGE_INPUT = described("image", "UINT8", SHAPE, len(PIXELS))
ENCODED = described("encoded_image", "BYTES", [1, 1], len(element(GOOD)))
INFER = "/v2/models/tiny/infer"
MAX_BATCH = 3


@pytest.fixture(scope="module")
def client(package) -> Iterator[TestClient]:
    with app_client(ServeSettings(package=package, threads=1, v2_max_batch=MAX_BATCH)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/none/ready", 404),
        ("GET", "/v2/models/none/config", 404),
        ("GET", "/v2/models/none/stats", 404),
        ("POST", "/v2/models/none/infer", 404),
        ("GET", "/v2/models/tiny/versions/9", 404),
        ("POST", "/v2/models/tiny/versions/9/infer", 404),
        ("POST", "/v2/repository/models/none/load", 404),
        ("POST", "/v2/repository/models/none/unload", 404),
        ("GET", "/v2/nothing/here", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/models/tiny", 405),
        ("GET", "/v2/repository/index", 405),
    ],
)
def test_wrong_addresses_and_methods(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    error_of(answer)


def with_input(**changes) -> dict:
    return {"inputs": [{**IMAGE_INPUT, **changes}]}


BROKEN = {
    "another input": (with_input(name="picture"), [PIXELS], "the model takes one: 'image'"),
    "both inputs": ({"inputs": [IMAGE_INPUT, ENCODED]}, [PIXELS, element(GOOD)], "the model takes one"),
    "another type": (with_input(datatype="FP32"), [PIXELS], "is UINT8, got 'FP32'"),
    "another size": (with_input(shape=[1, 64, 48, 3]), [PIXELS], "got [1, 64, 48, 3]"),
    "no batch": (with_input(shape=[*SIZE, 3]), [PIXELS], "got [48, 64, 3]"),
    "an empty batch": (with_input(shape=[0, *SIZE, 3]), [PIXELS], "got [0, 48, 64, 3]"),
    "a batch over the limit": (with_input(shape=[4, *SIZE, 3]), [PIXELS], "at most 3 images"),
    "fewer bytes than the shape asks for": (with_input(shape=[2, *SIZE, 3]), [PIXELS], "asks for 18432"),
    "no output of that name": (
        {"inputs": [IMAGE_INPUT], "outputs": [{"name": "logits"}]},
        [PIXELS],
        "unknown output 'logits'. The model has: mask",
    ),
    "an output twice": (
        {"inputs": [IMAGE_INPUT], "outputs": [{"name": "mask"}, {"name": "mask"}]},
        [PIXELS],
        "asked for twice",
    ),
    "classification": (
        {"inputs": [IMAGE_INPUT], "outputs": [{"name": "mask", "parameters": {"classification": 1}}]},
        [PIXELS],
        "classification is not offered",
    ),
    "less than it says": (with_input(), [PIXELS[:-1]], "9215 bytes are left"),
    "more than it says": (with_input(), [PIXELS, b"xyz"], "3 bytes follow"),
    "data twice": (with_input(data=[1]), [PIXELS], "both `data` and binary_data_size"),
    "no data": ({"inputs": [described("image", "UINT8", SHAPE)]}, [], "neither a list"),
    "shared memory": (
        {"inputs": [{**IMAGE_INPUT, "parameters": {"shared_memory_region": "mine"}}]},
        [],
        "shared memory",
    ),
    "a negative size": (with_input(parameters={"binary_data_size": -1}), [], "binary_data_size"),
    "a shape that is no list of sizes": (with_input(shape=[1, "48", 64, 3]), [PIXELS], "inputs.0.shape"),
    "no inputs": ({"inputs": []}, [], "wrong at inputs"),
    "a list": ([1, 2], [], "wrong at the whole"),
    "a timeout of words": (
        {"inputs": [IMAGE_INPUT], "parameters": {"timeout": "soon"}},
        [PIXELS],
        "parameters.timeout",
    ),
    "numbers above 255": (
        {"inputs": [described("image", "UINT8", [1, 1, 1, 3], data=[1, 2, 256])]},
        [],
        "got [1, 1, 1, 3]",
    ),
    "a file longer than its element": (
        {"inputs": [described("encoded_image", "BYTES", [1, 1], len(GOOD) + 4)]},
        [element(GOOD, len(GOOD) + 1)],
        "says it has",
    ),
    "an element without its length": (
        {"inputs": [described("encoded_image", "BYTES", [1, 1], 3)]},
        [b"abc"],
        "breaks off within the length",
    ),
    "fewer files than the shape asks for": (
        {"inputs": [described("encoded_image", "BYTES", [2, 1], len(GOOD) + 4)]},
        [element(GOOD)],
        "not as many elements",
    ),
    "more files than the shape asks for": (
        {"inputs": [described("encoded_image", "BYTES", [1, 1], 400)]},
        [element(b"") * 100],
        "not as many elements",
    ),
    "files in a grid": (
        {"inputs": [described("encoded_image", "BYTES", [1, 2], len(GOOD) + 4)]},
        [element(GOOD)],
        "is [B, 1]",
    ),
    "base64 that is none": (
        {"inputs": [described("encoded_image", "BYTES", [1, 1], data=["%%%"])]},
        [],
        "base64",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_request_that_breaks_the_rules_is_400(client, case):
    header, buffers, message = BROKEN[case]
    body, headers = binary_request(header, *buffers)
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert message in error_of(answer)


@pytest.mark.parametrize("data", [[-1] * 9216, [256] * 9216, ["a"] * 9216, [[1, 2], 3], [1.5] * 9216])
def test_json_pixels_are_whole_numbers_of_a_byte(client, data):
    answer = client.post(INFER, json={"inputs": [described("image", "UINT8", SHAPE, data=data)]})
    assert (answer.status_code, "from 0 to 255" in error_of(answer)) == (400, True)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_is_sent_is_read_or_refused(data):
    """Valid requests with bytes changed, cut out or doubled, and any header length."""
    whole, headers = binary_request({"inputs": [ENCODED], "outputs": [{"name": "mask"}]}, element(GOOD))
    body = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(start, min(start + 20, len(body))))
        body[start:stop] = data.draw(st.binary(max_size=8))
    length = data.draw(st.sampled_from([headers[HEADER_LENGTH], None, "0"]) | st.text(max_size=4))
    try:
        request = parse_request(bytes(body), length)
        for tensor in request.inputs:
            files_of(tensor)
    except InferRequestError:
        pass


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[" * 50_000, b"1" * 5000, GOOD])
def test_what_is_not_json_is_400(client, text):
    answer = client.post(INFER, content=text)
    assert answer.status_code == 400
    error_of(answer)


@pytest.mark.parametrize("length", ["-1", "many", "1e3", "100000", "9" * 5000, "٣"])
def test_a_header_length_that_cannot_be_is_400(client, length):
    body, _ = binary_request({"inputs": [IMAGE_INPUT]}, PIXELS)
    answer = client.post(INFER, content=body, headers={HEADER_LENGTH: length.encode()})
    assert (answer.status_code, HEADER_LENGTH in error_of(answer)) == (400, True)
