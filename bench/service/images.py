"""What is sent: photographs as JPEG, in the multipart form that both services read."""

import cv2
import numpy as np

from bench.boundaries import MAX_PIXELS
from bench.load.target import Body
from bench.plan import IMAGE_SUFFIXES, MAX_IMAGES, NOISE_SIZE, BenchImage, noise_image, read_image
from bench.service.config import ServiceConfig
from modelpack.errors import SettingsError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image

FIELD = "image"
JPEG_QUALITY = 95
"""OpenCV's own default."""
_BOUNDARY = "afdcd-bench-boundary"
_JPEG = b"\xff\xd8\xff"


def read_images(config: ServiceConfig, package: ModelPackage) -> tuple[BenchImage, ...]:
    """The folder's, else the package's samples, else a generated one; what is no JPEG is made one.

    Raises SettingsError where the folder holds no image, or one that does not decode.
    """
    folder = config.images
    if folder is not None:
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise SettingsError(f"images {folder}: there is no {', '.join(IMAGE_SUFFIXES)} file in it.")
    else:
        files = [package.path / sample.image for sample in package.manifest.samples]
    images = tuple(_as_jpeg(read_image(file)) for file in files[:MAX_IMAGES])
    return images or (noise_image(NOISE_SIZE, config.seed),)


def multipart_body(image: BenchImage) -> Body:
    """As `curl -F image=@photo.jpg` sends it."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{FIELD}"; filename="{FIELD}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return Body(
        name=image.name,
        content_type=f"multipart/form-data; boundary={_BOUNDARY}",
        content=head.encode("ascii") + image.content + f"\r\n--{_BOUNDARY}--\r\n".encode("ascii"),
    )


def _as_jpeg(image: BenchImage) -> BenchImage:
    if image.content.startswith(_JPEG):
        return image
    pixels = decode_image(image.content, max_pixels=MAX_PIXELS)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return BenchImage(f"{image.name} as JPEG", bytes(encoded), image.size)
