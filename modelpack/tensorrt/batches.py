"""Which profile answers a batch, and in how many parts."""

from collections.abc import Sequence

from modelpack.errors import ShapeError
from modelpack.tensorrt.engine import Profile, Shape

Parts = tuple[int, ...]
"""Images in each part."""


def choose_profile(profiles: Sequence[Profile], shape: Shape) -> tuple[Profile, Parts]:
    """The profile that takes images of `shape`, (N, H, W, C), in the fewest parts; of those the smallest.

    Raises ShapeError where no profile takes them.
    """
    fits = [
        (profile, parts)
        for profile in profiles
        if profile.takes_image(shape[1:]) and (parts := split(shape[0], profile)) is not None
    ]
    if not fits:
        ranges = "; ".join(describe(profile) for profile in profiles)
        raise ShapeError(
            f"the plan was built for images of shape {ranges}, got {shape}. Resize the images, or build it "
            "with a profile for them (export.tensorrt.profiles)."
        )
    return min(fits, key=lambda fit: (len(fit[1]), fit[0].maximum))


def split(images: int, profile: Profile) -> Parts | None:
    """As few parts as the profile allows, as equal as possible: few shapes, and none below its minimum."""
    least, most = profile.minimum[0], profile.maximum[0]
    count = -(-images // most)
    size, larger = divmod(images, count)
    return (size + 1,) * larger + (size,) * (count - larger) if size >= least else None


def describe(profile: Profile) -> str:
    """`(1..8, 64, 96, 3)`."""
    axes = zip(profile.minimum, profile.maximum, strict=True)
    return f"({', '.join(str(least) if least == most else f'{least}..{most}' for least, most in axes)})"
