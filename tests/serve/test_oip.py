"""The Open Inference Protocol, asked by the unmodified `tritonclient[http]`."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient

from modelpack.runtimes import RUNTIMES
from serve.oip.description import PLATFORMS
from tests.serve.conftest import SIZE, RunningServer, running_server
from tests.serve.pictures import gradient, pillow, png
from tests.serve.tritons import (
    HEADER_LENGTH,
    described,
    files,
    mask_output,
    pixels,
    tensor_of,
    triton,
)
from tests.tiny_package import tiny_answer, tiny_confidence, write_tiny_package

IMAGE = gradient(*SIZE)
TURNED = IMAGE[:, ::-1].copy()
BATCH = np.stack([IMAGE, TURNED])
LARGE = gradient(SIZE[0] * 2, SIZE[1] * 2)
MODEL = "tiny"
MAX_BATCH = 3


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("oip")
    write_tiny_package(root / MODEL, size=SIZE, confidence=True, name=MODEL)
    write_tiny_package(root / "any-size", size=None, name="any-size", num_samples=1)
    return root


@pytest.fixture(scope="module")
def server(packages) -> Iterator[RunningServer]:
    others = f"more_packages=[{packages / 'any-size'}]"
    with running_server(packages / MODEL, others, f"v2_max_batch={MAX_BATCH}") as server:
        yield server


@pytest.fixture(scope="module")
def client(server) -> Iterator[InferenceServerClient]:
    with triton(server) as client:
        yield client


@pytest.fixture(scope="module")
def web(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url.rstrip('/')}/v2") as web:
        yield web


def test_health_is_told(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready(MODEL, "2")
    assert not client.is_model_ready("none")


def test_the_server_names_itself_and_its_extensions(client):
    metadata = client.get_server_metadata()
    assert metadata["name"] == "afdcd"
    assert "binary_tensor_data" in metadata["extensions"]


def test_metadata_comes_from_the_manifest(client):
    metadata = client.get_model_metadata(MODEL)
    assert (metadata["name"], metadata["versions"]) == (MODEL, ["1"])
    assert metadata["platform"] == "onnxruntime_onnx"
    assert metadata["inputs"] == [
        described("image", "UINT8", [-1, *SIZE, 3]),
        described("encoded_image", "BYTES", [-1, 1]),
    ]
    assert metadata["outputs"] == [described(name, "UINT8", [-1, *SIZE]) for name in ("mask", "confidence")]


def test_dynamic_sizes_are_minus_one(client):
    assert client.get_model_metadata("any-size")["inputs"][0]["shape"] == [-1, -1, -1, 3]


def test_the_configuration_leaves_the_batch_out_of_the_shapes(client):
    config = client.get_model_config(MODEL, "1")
    assert (config["name"], config["max_batch_size"]) == (MODEL, MAX_BATCH)
    assert [(entry["data_type"], entry["dims"]) for entry in config["input"]] == [
        ("TYPE_UINT8", [*SIZE, 3]),
        ("TYPE_STRING", [1]),
    ]
    assert config["output"][0] == {"name": "mask", "data_type": "TYPE_UINT8", "dims": list(SIZE)}


def test_every_runtime_has_a_platform():
    assert PLATFORMS.keys() == RUNTIMES.keys()


def test_the_index_lists_what_is_loaded(client):
    index = client.get_model_repository_index()
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [
        (MODEL, "1", "READY"),
        ("any-size", "1", "READY"),
    ]


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_pixels_become_masks_in_binary_and_in_json(client, binary_in, binary_out):
    result = client.infer(MODEL, [pixels(BATCH, binary=binary_in)], outputs=[mask_output(binary_out)])
    np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(BATCH))
    assert ("data" in result.get_output("mask")) is not binary_out


def test_without_a_choice_all_outputs_come_back_binary(client):
    result = client.infer(MODEL, [pixels(BATCH)], model_version="1", request_id="seven")
    np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(BATCH))
    np.testing.assert_array_equal(result.as_numpy("confidence"), tiny_confidence(BATCH))
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("seven", MODEL, "1")


def test_outputs_keep_the_order_and_the_form_in_which_they_were_asked_for(web):
    asked = {
        "inputs": [described("image", "UINT8", [1, *SIZE, 3], data=IMAGE.tolist())],
        "outputs": [{"name": "confidence", "parameters": {"binary_data": True}}, {"name": "mask"}],
    }
    answer = web.post(f"/models/{MODEL}/infer", json=asked)
    np.testing.assert_array_equal(tensor_of(answer), tiny_confidence(IMAGE)[None])
    assert f'"shape":[1,{SIZE[0]},{SIZE[1]}],"data"' in answer.text


def test_encoded_images_of_any_kind_are_segmented_together(client):
    result = client.infer(MODEL, [files(png(IMAGE), png(LARGE), pillow(IMAGE, "WEBP", lossless=True))])
    masks = result.as_numpy("mask")
    np.testing.assert_array_equal(masks[0], tiny_answer(IMAGE))
    np.testing.assert_array_equal(masks[2], tiny_answer(IMAGE))
    assert masks.shape == (3, *SIZE)


def test_outputs_at_the_images_size_where_that_is_asked_for(client):
    result = client.infer(MODEL, [files(png(LARGE))], parameters={"size": "original"})
    assert result.as_numpy("mask").shape == (1, *LARGE.shape[:2])
    assert result.as_numpy("confidence").shape == (1, *LARGE.shape[:2])


def test_a_model_of_dynamic_size_answers_at_the_size_of_the_image(client):
    result = client.infer("any-size", [files(png(LARGE))])
    np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(LARGE)[None])


def test_base64_in_json_is_an_encoded_image(web):
    text = base64.b64encode(png(IMAGE)).decode()
    asked = {"inputs": [described("encoded_image", "BYTES", [1, 1], data=[text])]}
    answer = web.post(f"/models/{MODEL}/infer", json=asked)
    np.testing.assert_array_equal(tensor_of(answer), tiny_answer(IMAGE)[None])


def test_a_bare_image_is_a_whole_request(web):
    answer = web.post(f"/models/{MODEL}/infer", content=png(IMAGE), headers={HEADER_LENGTH: "0"})
    np.testing.assert_array_equal(tensor_of(answer), tiny_answer(IMAGE)[None])
    assert answer.headers["x-model"].startswith(f"{MODEL};version=1;")
    assert "infer;dur=" in answer.headers["server-timing"]


@pytest.mark.parametrize("back", [None, "gzip", "deflate"])
@pytest.mark.parametrize("there", [None, "gzip", "deflate"])
def test_compression_both_ways(client, there, back):
    result = client.infer(
        MODEL,
        [pixels(BATCH)],
        request_compression_algorithm=there,
        response_compression_algorithm=back,
    )
    np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(BATCH))


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate, gzip;q=0.5", "deflate"), ("br", None), ("gzip;q=0", None)],
)
def test_an_answer_is_compressed_as_the_client_prefers(web, accepted, encoding):
    headers = {HEADER_LENGTH: "0", "Accept-Encoding": accepted}
    answer = web.post(f"/models/{MODEL}/infer", content=png(IMAGE), headers=headers)
    assert answer.headers.get("content-encoding") == encoding


def test_everything_a_client_may_add_is_accepted(client):
    result = client.infer(
        MODEL,
        [pixels(BATCH)],
        request_id="7",
        sequence_id=3,
        sequence_start=True,
        sequence_end=True,
        priority=2,
        timeout=20_000_000,
        parameters={"customer": "acme"},
    )
    assert result.as_numpy("mask").shape == BATCH.shape[:3]


def test_an_image_of_usual_size_in_json(server):
    image = gradient(240, 320)
    with triton(server) as client:
        result = client.infer("any-size", [pixels(image[None], binary=False)], outputs=[mask_output(False)])
    np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(image)[None])


def test_several_requests_at_once(client):
    waiting = [client.async_infer(MODEL, [pixels(BATCH)]) for _ in range(8)]
    for pending in waiting:
        np.testing.assert_array_equal(pending.get_result().as_numpy("mask"), tiny_answer(BATCH))
