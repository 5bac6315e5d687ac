"""Every dataset gives samples in one form, and names the file when it cannot."""

import pickle
from pathlib import Path
from struct import pack
from zlib import compress, crc32

import cv2
import numpy as np
import pytest
from PIL import Image

from distill.datasets import DATASETS, open_dataset
from distill.datasets.camvid import CAMVID_LABELS, CamVidSettings
from distill.datasets.dataset import DatasetSettings
from modelpack.errors import DatasetError
from tests.distill.folder_data import (
    HEIGHT,
    WIDTH,
    bands,
    write_folder,
    write_image,
    write_mask,
)
from tests.distill.miniature import MINIATURES


@pytest.fixture(params=sorted(set(DATASETS) - {"images"}))
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatasetSettings:
    """Each labelled dataset of the table on tiny data."""
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


@pytest.mark.parametrize(("kind", "suffix"), [("images", ".png"), ("images", ".jpg"), ("masks", ".png")])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
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


def _grey_png(mask: np.ndarray, bits: int) -> bytes:
    """A greyscale PNG of `bits` per pixel, which the usual writers do not make."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))

    as_bits = ((mask[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(mask), -1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(as_bits, axis=1))
    header = pack(">IIBBBBB", mask.shape[1], mask.shape[0], bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    )
