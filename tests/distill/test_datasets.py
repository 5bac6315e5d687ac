"""Every dataset gives samples in one form, and names the file when it cannot."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from distill.datasets import DATASETS, open_dataset
from distill.datasets.camvid import CAMVID_LABELS, CamVidSettings
from distill.datasets.dataset import DatasetSettings
from distill.datasets.folder import FolderSettings
from modelpack.errors import DatasetError, SettingsError
from tests.distill.folder_data import (
    COLOUR_CLASSES,
    HEIGHT,
    INDEX_CLASSES,
    PALETTE,
    WIDTH,
    bands,
    write_classes,
    write_folder,
    write_image,
    write_mask,
)
from tests.distill.miniature import MINIATURES


@pytest.fixture(params=sorted(DATASETS))
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatasetSettings:
    """Each dataset of the table on tiny data."""
    name = request.param
    if name == "folder":
        return write_folder(tmp_path)
    if name == "streets":
        return DATASETS[name].settings(height=48, width=64, train=4, val=2, test=2)  # type: ignore[call-arg]
    return DATASETS[name].settings(name=name, root=MINIATURES[name](tmp_path))


def test_every_entry_has_its_own_name(settings: DatasetSettings) -> None:
    assert DATASETS[settings.name].settings is type(settings)


def test_every_sample_is_an_rgb_image_with_a_mask_of_known_classes(settings: DatasetSettings) -> None:
    for split in ("train", "val"):
        dataset = open_dataset(settings, split)
        assert dataset.split == split
        assert len(dataset) > 1
        sample = dataset[len(dataset) - 1]
        assert sample.image_hwc.dtype == sample.mask_hw.dtype == np.uint8
        assert sample.image_hwc.shape == (*sample.mask_hw.shape, 3)
        values = set(np.unique(sample.mask_hw).tolist())
        assert values <= {*range(dataset.labels.num_classes), 255}


def test_every_dataset_gives_the_same_sample_twice_and_after_pickling(settings: DatasetSettings) -> None:
    dataset = open_dataset(settings, "train")
    first, again, copied = dataset[1], dataset[1], pickle.loads(pickle.dumps(dataset))[1]
    for other in (again, copied):
        assert other.name == first.name
        np.testing.assert_array_equal(other.image_hwc, first.image_hwc)
        np.testing.assert_array_equal(other.mask_hw, first.mask_hw)


def test_every_dataset_refuses_a_split_it_does_not_have(settings: DatasetSettings) -> None:
    with pytest.raises(DatasetError, match=r"holiday"):
        open_dataset(settings, "holiday")


@pytest.mark.parametrize("name", sorted({*MINIATURES, "folder"}))
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        open_dataset(DATASETS[name].settings(name=name, root=tmp_path / "nowhere"), "train")


def test_camvid_ignores_void_and_keeps_the_eleven_classes(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "a.jpg", "a")
    write_mask(tmp_path / "trainannot" / "a.png", bands(0, 3, 10, 11))
    sample = open_dataset(CamVidSettings(root=tmp_path), "train")[0]
    np.testing.assert_array_equal(sample.mask_hw, bands(0, 3, 10, 255))
    assert CAMVID_LABELS.names[3] == "Road"


def test_an_image_comes_as_rgb_and_not_bgr(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    Image.new("RGB", (WIDTH, HEIGHT), (250, 100, 5)).save(tmp_path / "train/images/train0.png")
    assert open_dataset(settings, "train")[0].image_hwc[0, 0].tolist() == [250, 100, 5]


def test_a_palette_mask_is_read_as_indices(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    mask = Image.fromarray(bands(2, 0, 1))
    mask.putpalette(bytes(range(50, 50 + 3 * 60)))
    mask.save(tmp_path / "train/masks/train0.png")
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(2, 0, 1))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_grey_mask_of_few_bits_is_read_as_indices(tmp_path: Path, bits: int) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    mask = bands(0, 1) if bits == 1 else bands(2, 0, 1)
    path = tmp_path / "train/masks/train0.png"
    path.write_bytes(_grey_png(mask, bits))
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, mask)


def test_a_16_bit_mask_is_refused(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    cv2.imwrite(str(tmp_path / "train/masks/train0.png"), bands().astype(np.uint16))
    with pytest.raises(DatasetError, match=r"train0\.png has more than 8 bits"):
        open_dataset(settings, "train")[0]


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    if (kind, suffix) == ("masks", ".jpg"):
        pytest.skip("masks are never JPEG")
    settings = write_folder(tmp_path, counts={"train": 1})
    path = tmp_path / "train" / kind / "train0.png"
    whole = cv2.imencode(suffix, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))[1].tobytes()
    path.unlink()
    path.with_suffix(suffix).write_bytes(whole[: int(len(whole) * 0.8)])
    with pytest.raises(DatasetError, match=rf"train0\{suffix} does not decode"):
        open_dataset(settings, "train")[0]


def test_image_and_mask_of_different_size_are_refused(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    write_image(tmp_path / "train/images/train0.png", "a", HEIGHT, WIDTH + 1)
    with pytest.raises(DatasetError, match=r"train0\.png is 33x24 .* is 32x24; they must be equal"):
        open_dataset(settings, "train")[0]


def test_a_value_without_a_class_is_refused_and_the_doctor_recommended(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    write_mask(tmp_path / "train/masks/train0.png", bands(0, 1, 7, 9))
    with pytest.raises(DatasetError, match=r"train0\.png holds 7, 9, .* 3 classes.*afdcd distill doctor"):
        open_dataset(settings, "train")[0]


def test_colour_masks_are_mapped_by_exact_colour(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 1})
    colours = np.array([*PALETTE, [0, 0, 0]], np.uint8)
    write_mask(tmp_path / "train/masks/train0.png", colours[bands(3, 2, 0, 1)])
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(255, 2, 0, 1))


def test_a_colour_of_no_class_is_named(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 1})
    colours = np.array([*PALETTE, [1, 2, 3]], np.uint8)
    write_mask(tmp_path / "train/masks/train0.png", colours[bands(3, 2, 0, 1)])
    with pytest.raises(DatasetError, match=r"rgb\(1, 2, 3\)"):
        open_dataset(settings, "train")[0]


def test_stored_values_may_have_names_of_their_own(tmp_path: Path) -> None:
    settings = write_folder(
        tmp_path, {"names": {0: "background", 255: "object"}, "ignore": [7]}, counts={"train": 1}
    )
    write_mask(tmp_path / "train/masks/train0.png", bands(0, 255, 7))
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(0, 1, 255))


def test_the_rest_can_be_ignored(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, {"names": {4: "road"}, "ignore": "rest"}, counts={"train": 1})
    write_mask(tmp_path / "train/masks/train0.png", bands(0, 4, 99))
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(255, 0, 255))


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 3})
    (tmp_path / "train/masks/train1.png").unlink()
    (tmp_path / "train/images/train2.png").unlink()
    with pytest.raises(DatasetError, match=r"1 without mask: train1; 1 without image: train2"):
        open_dataset(settings, "train")


def test_jpeg_masks_are_explained(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    path = tmp_path / "train/masks/train0.png"
    path.rename(path.with_suffix(".jpg"))
    with pytest.raises(DatasetError, match=r"train0.*JPEG files are no masks"):
        open_dataset(settings, "train")


def test_patterns_pair_files_of_one_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "validation" / f"{name}.png", name)
        write_mask(tmp_path / "validation" / f"{name}_label.png", bands())
    write_classes(tmp_path, INDEX_CLASSES)
    settings = FolderSettings(
        root=tmp_path,
        images="{split}/{name}.png",
        masks="{split}/{name}_label.png",
        splits={"val": "validation"},
    )
    dataset = open_dataset(settings, "val")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "b"]


def test_a_list_file_chooses_the_split(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(tmp_path / "images" / f"{name}.jpg", name)
        write_mask(tmp_path / "masks" / f"{name}.png", bands())
    write_classes(tmp_path, INDEX_CLASSES)
    (tmp_path / "train.txt").write_text("c\na\n")
    settings = FolderSettings(root=tmp_path, images="images", masks="masks", list_file="{split}.txt")
    dataset = open_dataset(settings, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "c"]


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        ({"names": ["a", "b"], "masks": "colour"}, "colour masks need a palette"),
        ({"names": ["a", "b"], "palette": [[1, 1, 1], [1, 1, 1]], "masks": "colour"}, "have the same colour"),
        ({"names": ["a", "b"], "ignore": [1]}, "both a class and ignored"),
        ({"names": ["a", "b"], "ignore": [[0, 0, 0]]}, "values 0 to 255"),
        ({"names": ["a", "b"], "colours": []}, "unknown setting 'colours'"),
        ({"names": ["a", "b"], "palette": [[1, 1, 1]]}, "2 class names but 1 colours"),
    ],
)
def test_mistakes_in_the_class_list_are_explained(
    tmp_path: Path, classes: dict[str, object], complaint: str
) -> None:
    settings = write_folder(tmp_path, classes, counts={"train": 1})
    with pytest.raises(SettingsError, match=complaint):
        open_dataset(settings, "train")


def test_a_missing_class_list_is_explained(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    (tmp_path / "classes.yaml").unlink()
    with pytest.raises(DatasetError, match=r"classes\.yaml does not exist\. Write one"):
        open_dataset(settings, "train")


def _grey_png(mask: np.ndarray, bits: int) -> bytes:
    """A greyscale PNG of `bits` per pixel, which the usual writers do not make."""
    from struct import pack
    from zlib import compress, crc32

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))

    as_bits = ((mask[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(mask), -1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(as_bits, axis=1))
    header = pack(">IIBBBBB", mask.shape[1], mask.shape[0], bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    )
