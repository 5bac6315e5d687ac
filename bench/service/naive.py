"""The endpoint to compare with: what FastAPI's tutorial, Pillow and ONNX Runtime give with their defaults.

Run by `uvicorn bench.service.naive:app`. It has no limits, no checks and one process; blocking work stands in
a plain `def`, which FastAPI runs in threads, as its documentation advises. The graph is the package's own, so
it already takes uint8 pixels and gives a uint8 mask.
"""

import io
import os
from typing import Annotated

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI, File, Response, UploadFile
from PIL import Image

app = FastAPI()
width, height = (int(side) for side in os.environ["AFDCD_NAIVE_SIZE"].split("x"))
session = ort.InferenceSession(os.environ["AFDCD_NAIVE_GRAPH"], providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name


@app.post("/segment")
def segment(image: Annotated[UploadFile, File()]) -> Response:
    """One image in, its label map as PNG out, at the image's size."""
    picture = Image.open(image.file).convert("RGB")
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    (masks,) = session.run(["mask"], {input_name: np.asarray(resized)[None]})
    mask = Image.fromarray(masks[0]).resize(picture.size, Image.Resampling.NEAREST)
    encoded = io.BytesIO()
    mask.save(encoded, format="PNG")
    return Response(encoded.getvalue(), media_type="image/png")
