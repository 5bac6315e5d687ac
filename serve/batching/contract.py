"""What a package promises about batches, and whether they are used."""

from modelpack.manifest import Artifact, Manifest
from serve.batching.estimate import Size
from serve.batching.settings import BatchingSettings


def is_joining(settings: BatchingSettings, device: str, has_codec_threads: bool) -> bool:
    """Whether requests for a graph on `device` (`cpu`, `cuda:0`) are joined."""
    if settings.enabled == "auto":
        return device.startswith("cuda") and has_codec_threads
    return settings.enabled


def most_images(manifest: Manifest, artifact: Artifact, size: Size) -> int | None:
    """Images of (height, width) that one run of the artifact takes; None: any number.

    A graph says so by the first axis of its input, a TensorRT plan also by the profiles in its details: the
    largest batch among those that take the size.
    """
    batch = manifest.inputs[0].shape[0]
    if isinstance(batch, int):
        return batch
    height, width = size
    most = [
        int(maximum[0])
        for minimum, _, maximum in artifact.details.get("profiles", ())
        if minimum[1] <= height <= maximum[1] and minimum[2] <= width <= maximum[2]
    ]
    return max(most, default=None)
