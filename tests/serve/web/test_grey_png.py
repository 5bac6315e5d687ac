"""The page's own reader of label maps against OpenCV's encoder, for every filter that a row may have."""

import base64

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

FILTERS = {
    "none": cv2.IMWRITE_PNG_FILTER_NONE,
    "sub": cv2.IMWRITE_PNG_FILTER_SUB,
    "up": cv2.IMWRITE_PNG_FILTER_UP,
    "average": cv2.IMWRITE_PNG_FILTER_AVG,
    "paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
}
READ = """async (encoded) => {
    const { readGreyPng } = await import("/web/page/grey_png.js");
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const { width, height, values } = await readGreyPng(new Blob([bytes]));
    return [width, height, [...values]];
}"""


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_is_undone(page, name):
    steps = np.random.default_rng(0).integers(-3, 4, (13, 17))
    map_hw = np.cumsum(steps, axis=1).astype(np.uint8)
    png = cv2.imencode(".png", map_hw, [cv2.IMWRITE_PNG_FILTER, FILTERS[name]])[1].tobytes()
    width, height, values = page.evaluate(READ, base64.b64encode(png).decode())
    assert (height, width) == map_hw.shape
    np.testing.assert_array_equal(np.reshape(values, map_hw.shape), map_hw)
