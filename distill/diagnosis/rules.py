"""What is wrong with one split, judged from its scan. Each rule is one function; the tables list them."""

from collections.abc import Callable, Iterator, Mapping

from distill.diagnosis.finding import Finding, Severity, named
from distill.diagnosis.scan import Scan

MIN_TRAIN_IMAGES = 20
MIN_EVALUATION_IMAGES = 5
MAX_IGNORED_SHARE = 0.5
_MANY_UNKNOWN = 10
"""So many stored values without a meaning are no labels at all, but a blended or compressed picture."""
_AS_PUBLISHED = "Give the masks as the dataset's authors distribute them."


def unreadable_files(scan: Scan) -> Iterator[Finding]:
    yield from _unreadable(scan, scan.unreadable)


def colour_masks(scan: Scan) -> Iterator[Finding]:
    yield from _unreadable(scan, scan.colour_masks)


def _unreadable(scan: Scan, problems: Mapping[str, str]) -> Iterator[Finding]:
    if problems:
        names = named(list(problems))
        what = f"{len(problems)} of {scan.looked_at} samples cannot be read ({names}). The first:"
        yield Finding("error", scan.split, what, next(iter(problems.values())))


def different_sizes_in_a_pair(scan: Scan) -> Iterator[Finding]:
    if scan.mismatched:
        yield Finding(
            "error",
            scan.split,
            f"image and mask differ in size in {len(scan.mismatched)} pairs ({named(scan.mismatched)}).",
            "Resize the masks to their images with nearest neighbour, or fetch the right files.",
        )


def black_and_white(scan: Scan) -> Iterator[Finding]:
    if not _is_black_and_white(scan):
        return
    yield Finding(
        "error",
        scan.split,
        f"the masks hold only 0 and 255: a black-and-white picture, and 255 stands for none of "
        f"{scan.labels.num_classes} classes.",
        "Write `names: {0: background, 255: object}` in classes.yaml, or divide the masks by 255."
        if scan.has_classes_file
        else _AS_PUBLISHED,
    )


def unknown_values(scan: Scan) -> Iterator[Finding]:
    if not scan.unknown or _is_black_and_white(scan):
        return
    classes = scan.labels.num_classes
    holders = {name for names in scan.unknown.values() for name in names}
    values = [value for value, _ in sorted(scan.unknown.items(), key=lambda item: -len(item[1]))]
    what = f"{len(holders)} of {scan.looked_at} masks hold {named(values)}, which stands for no class."
    is_one_more = values == [str(classes)] and scan.has_classes_file
    if is_one_more and 0 not in scan.stored_values:
        what = f"the values run from 1 to {classes}, but the classes are 0 to {classes - 1}: off by one."
        way_out = (
            "Count from 1 in classes.yaml (`names: {1: road, 2: car, ...}`), or subtract 1 from the masks."
        )
    elif is_one_more:
        what = f"the values run from 0 to {classes}: one more than the {classes} classes."
        way_out = (
            "If 0 means unlabelled, count from 1 (`names: {1: road, ...}`) and write `ignore: [0]`; "
            f"if {classes} does, write `ignore: [{classes}]`; else name the missing class."
        )
    elif len(values) > _MANY_UNKNOWN:
        way_out = (
            f"{len(values)} such values mean that the masks were resized with blending, compressed with "
            "loss, or are colours turned grey. Make them anew from the labels."
        )
    elif not scan.has_classes_file:
        way_out = _AS_PUBLISHED
    else:
        way_out = "Name these classes, list the values under `ignore`, or mend the masks."
    yield Finding("error", scan.split, what, way_out)


def ignored_pixels(scan: Scan) -> Iterator[Finding]:
    share = scan.ignored_pixels / max(scan.pixels, 1)
    if scan.pixels == 0 or _is_black_and_white(scan):
        return
    if share == 1:
        yield Finding("error", scan.split, "every pixel is ignored.", "Check which values are ignored.")
    elif share > MAX_IGNORED_SHARE:
        values = ", ".join(map(str, sorted(scan.ignored_values)))
        yield Finding(
            "warning",
            scan.split,
            f"{share:.0%} of the pixels are ignored (stored value {values}).",
            "Check that this value really means `no label`.",
        )
    elif scan.without_labels:
        yield Finding(
            "warning",
            scan.split,
            f"{len(scan.without_labels)} masks have no label at all ({named(scan.without_labels)}).",
            "Remove them, or label them.",
        )


def classes_never_present(scan: Scan) -> Iterator[Finding]:
    present = [name for name, pixels in zip(scan.labels.names, scan.class_pixels, strict=True) if pixels]
    absent = [name for name in scan.labels.names if name not in present]
    if not present or not absent or _is_black_and_white(scan):
        return
    if scan.split == "train" and len(present) == 1 and not scan.unknown:
        yield Finding(
            "error",
            scan.split,
            f"every labelled pixel is {present[0]}: nothing to tell apart.",
            "Check the masks.",
        )
        return
    way_out = (
        "They cannot be learned; check the class list." if scan.split == "train" else "They are not measured."
    )
    if scan.has_classes_file and scan.has_index_masks and 0 not in scan.stored_values:
        way_out += " The value 0 never occurs: do the masks count from 1 (`names: {1: road, 2: car, ...}`)?"
    severity: Severity = "warning" if scan.split == "train" else "info"
    what = f"{len(absent)} of {scan.labels.num_classes} classes never occur ({named(absent)})."
    yield Finding(severity, scan.split, what, way_out)


def too_few_images(scan: Scan) -> Iterator[Finding]:
    least = MIN_TRAIN_IMAGES if scan.split == "train" else MIN_EVALUATION_IMAGES
    if scan.size < least:
        yield Finding(
            "warning", scan.split, f"only {scan.size} images; results will be noise.", "Label more images."
        )


def same_image_twice(scan: Scan) -> Iterator[Finding]:
    groups = [names for names in scan.digests.values() if len(names) > 1]
    if groups:
        pairs = [" = ".join(names[:2]) for names in groups]
        yield Finding("info", scan.split, f"{len(groups)} images occur more than once ({named(pairs)}).", "")


def _is_black_and_white(scan: Scan) -> bool:
    has_meaning = "255" not in scan.unknown and 255 not in scan.ignored_values
    return (
        scan.has_index_masks
        and scan.stored_values == {0, 255}
        and not has_meaning
        and scan.labels.num_classes > 1
    )


Rules = tuple[Callable[[Scan], Iterator[Finding]], ...]

FILE_RULES: Rules = (unreadable_files, different_sizes_in_a_pair, too_few_images, same_image_twice)
VALUE_RULES: Rules = (colour_masks, black_and_white, unknown_values, ignored_pixels, classes_never_present)
"""What masks hold. Not asked where a dataset's own rules know which mistake it is."""


def same_image_in_two_splits(first: Scan, second: Scan) -> Iterator[Finding]:
    shared = [digest for digest in first.digests if digest in second.digests]
    if shared:
        pairs = [f"{first.digests[digest][0]} = {second.digests[digest][0]}" for digest in shared]
        yield Finding(
            "warning",
            f"{first.split}+{second.split}",
            f"{len(shared)} identical images are in both splits ({named(pairs)}): the mIoU flatters.",
            f"Remove them from {first.split}.",
        )


def class_only_evaluated(train: Scan, other: Scan) -> Iterator[Finding]:
    if train.split != "train":
        return
    names = [
        name
        for name, learned, asked in zip(
            train.labels.names, train.class_pixels, other.class_pixels, strict=True
        )
        if asked and not learned
    ]
    if names:
        yield Finding(
            "warning",
            f"train+{other.split}",
            f"{named(names)}: in {other.split}, but not in train.",
            "Move images with these classes to train.",
        )


PAIR_RULES: tuple[Callable[[Scan, Scan], Iterator[Finding]], ...] = (
    same_image_in_two_splits,
    class_only_evaluated,
)
