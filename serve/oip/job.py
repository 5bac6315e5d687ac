"""One `infer` request and one model: does it fit, and the way from its inputs to its outputs."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import ImageTooLargeError
from modelpack.pixels import check_header, decode_image
from modelpack.preprocess import resize_mask
from modelpack.replay import pad_to_multiple
from serve.errors import InferRequestError
from serve.model import ServedModel
from serve.oip.answer import Encoded, OutputTensor, encode_answer
from serve.oip.description import DATATYPES, ENCODED_IMAGE, fixed_batch, image_input
from serve.oip.elements import files_of, pixels_of
from serve.oip.request import InferRequest, InputTensor, RequestedOutput


class InferJob:
    """Built, it is known to fit; `decode`, the graph and `encode` follow, in threads."""

    def __init__(self, request: InferRequest, model: ServedModel, *, max_batch: int, max_pixels: int) -> None:
        """Checks everything that needs no decoding; of encoded images the headers.

        max_pixels: of all images of the request together. Raises InferRequestError, or an ImageError.
        """
        self.timeout_s = request.timeout_s
        self._request = request
        self._model = model
        self._max_batch = max_batch
        self._max_pixels = max_pixels
        self._requested = _requested_outputs(request, model)
        self._fitted_hw: tuple[int, int] | None = None
        """Of encoded images: the size that the model saw, before any padding."""
        self._original_hw: tuple[int, int] | None = None
        self._tensor = self._only_input()
        self._files: list[bytes] = []
        if self._tensor.name == ENCODED_IMAGE:
            self._check_files()
        else:
            self._check_pixels()

    @property
    def batch_size(self) -> int:
        return self._tensor.shape[0]

    def decode(self) -> NDArray[np.uint8]:
        """(N, H, W, 3) RGB as the graph takes it. Raises InferRequestError, or an ImageError."""
        if not self._files:
            return pixels_of(self._tensor)
        fitted = []
        originals = set()
        for file in self._files:
            image_hwc = decode_image(file, max_pixels=self._max_pixels)
            originals.add(image_hwc.shape[:2])
            fitted.append(self._model.fit(image_hwc))
        sizes = originals if self._request.size == "original" else {image.shape[:2] for image in fitted}
        if len(sizes) > 1:
            raise InferRequestError(
                f"one tensor cannot hold masks of different sizes ({_list_sizes(sizes)}). Send these images "
                "one by one, or for a model of fixed size without the parameter size=original."
            )
        self._fitted_hw, self._original_hw = fitted[0].shape[:2], min(originals)
        return np.stack([pad_to_multiple(image_hwc, self._model.manifest) for image_hwc in fitted])

    def encode(self, outputs: dict[str, NDArray[Any]], encoding: str | None) -> Encoded:
        """The answer's body, with the outputs that were asked for, in their order."""
        tensors = [
            OutputTensor(output.name, self._sized(outputs[output.name]), output.is_binary)
            for output in self._requested
        ]
        manifest = self._model.manifest
        return encode_answer(manifest.name, manifest.version, self._request.id, tensors, encoding)

    def _sized(self, array: NDArray[Any]) -> NDArray[Any]:
        """Label maps and the like without their padding, and at the images' size where that is asked for."""
        if self._fitted_hw is None or self._original_hw is None or array.ndim != 3:
            return array
        height, width = self._fitted_hw
        array = array[:, :height, :width]
        if self._request.size == "model" or array.dtype != np.uint8:
            return array
        return np.stack([resize_mask(np.ascontiguousarray(map_hw), *self._original_hw) for map_hw in array])

    def _only_input(self) -> InputTensor:
        """The one input, under either of its names, with a batch that the model takes."""
        spec = image_input(self._model.manifest)
        offered = {spec.name: DATATYPES[spec.dtype], ENCODED_IMAGE: "BYTES"}
        sent = ", ".join(repr(tensor.name) for tensor in self._request.inputs[:4])
        if len(self._request.inputs) > 1 or self._request.inputs[0].name not in offered:
            raise InferRequestError(
                f"inputs {sent} were sent; the model takes one: {spec.name!r} ({offered[spec.name]}, pixels) "
                f"or {ENCODED_IMAGE!r} (BYTES, image files)."
            )
        (tensor,) = self._request.inputs
        if tensor.datatype != offered[tensor.name]:
            raise InferRequestError(
                f"input {tensor.name!r} is {offered[tensor.name]}, got {tensor.datatype!r}."
            )
        return tensor

    def _check_batch(self, least_rank: int, most_rank: int, wanted: str) -> None:
        shape = self._tensor.shape
        if not least_rank <= len(shape) <= most_rank or 0 in shape:
            raise InferRequestError(f"input {self._tensor.name!r} is {wanted}, got {list(shape)}.")
        fixed = fixed_batch(self._model.manifest)
        if fixed is not None and shape[0] != fixed:
            raise InferRequestError(f"the model takes batches of {fixed}, got {shape[0]} images.")
        if shape[0] > self._max_batch:
            raise InferRequestError(
                f"a batch has at most {self._max_batch} images (v2_max_batch), got {shape[0]}."
            )

    def _check_files(self) -> None:
        self._check_batch(1, 2, "[B, 1]")
        if self._tensor.shape[1:] not in ((), (1,)):
            raise InferRequestError(f"input {ENCODED_IMAGE!r} is [B, 1], got {list(self._tensor.shape)}.")
        self._files = files_of(self._tensor)
        pixels = sum(check_header(file, max_pixels=self._max_pixels).num_pixels for file in self._files)
        if pixels > self._max_pixels:
            raise ImageTooLargeError(
                f"the images have {pixels} pixels together, the limit is {self._max_pixels}. "
                "Send fewer at once."
            )

    def _check_pixels(self) -> None:
        manifest = self._model.manifest
        spec = image_input(manifest)
        wanted = f"[{', '.join(map(str, spec.shape))}]"
        self._check_batch(4, 4, wanted)
        sizes = self._tensor.shape
        fits = all(
            isinstance(size, str) or size == given for size, given in zip(spec.shape, sizes, strict=True)
        )
        if not fits or prod(sizes[:3]) > self._max_pixels:
            raise InferRequestError(
                f"input {spec.name!r} is {wanted} with at most {self._max_pixels} pixels, got {list(sizes)}."
            )
        if any(size % manifest.size_multiple for size in sizes[1:3]):
            raise InferRequestError(
                f"height and width are multiples of {manifest.size_multiple}, got {sizes[1]} and {sizes[2]}. "
                f"Pad the image, or send it encoded as {ENCODED_IMAGE!r}."
            )


def _requested_outputs(request: InferRequest, model: ServedModel) -> tuple[RequestedOutput, ...]:
    names = [spec.name for spec in model.manifest.outputs]
    if not request.outputs:
        return tuple(RequestedOutput(name, request.is_binary) for name in names)
    asked = [output.name for output in request.outputs]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise InferRequestError(f"unknown output {unknown[0]!r}. The model has: {', '.join(names)}.")
    if len(set(asked)) < len(asked):
        raise InferRequestError(f"an output is asked for twice: {', '.join(asked[:8])}.")
    return request.outputs


def _list_sizes(sizes: set[tuple[int, ...]]) -> str:
    return ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:4])
