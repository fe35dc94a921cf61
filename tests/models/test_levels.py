"""Grey values of any depth, pages and medical files: what is shown black and white is right, and is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskstack.errors import InputError
from maskstack.models import open_photo, said_of
from maskstack.models.levels import page_number, read_window, to_bytes

RAMP = np.linspace(0, 1, 400).reshape(20, 20)
GREY = np.rint(RAMP * 255).astype(np.uint8)


def shown(path, **options) -> np.ndarray:
    opened = open_photo(path, **options)
    assert opened.mode == "RGB"
    return np.asarray(opened)[..., 0]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_fewer_bits_in_a_deep_file_fill_the_range(tmp_path, bits: int, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(np.rint(RAMP * (2**bits - 1)).astype(np.uint16)).save(path)
    assert np.abs(shown(path).astype(int) - GREY).max() <= 1
    said = said_of(open_photo(path))
    assert said == ("" if bits == 16 else f"values of {bits} bits, 0 to {2**bits - 1}, are shown from black to white")


def test_a_window_is_used(tmp_path) -> None:
    values = np.rint(RAMP * 3000 - 1000)
    for name, image in {"int.tif": values.astype(np.int32), "float.tif": values.astype(np.float32)}.items():
        Image.fromarray(image).save(tmp_path / name)
        found = shown(tmp_path / name, window="40/400")
        assert np.abs(found - np.clip((values + 160) / 400, 0, 1) * 255).max() <= 1
        assert "values from -160 to 240 (window 40/400)" in said_of(open_photo(tmp_path / name, window=(40, 400)))
    assert "give a window such as 40/400" in said_of(open_photo(tmp_path / "int.tif"))
    Image.new("RGB", (20, 20)).save(tmp_path / "colours.png")
    with pytest.raises(InputError, match="give one for grey images only"):
        open_photo(tmp_path / "colours.png", window="40/400")
    for wrong in ("40", "40/0", "a/b", "40/-3", "nan/4", "1/2/3"):
        with pytest.raises(InputError, match="write CENTRE/WIDTH"):
            read_window(wrong)


def test_a_tiff_in_which_0_is_white_is_inverted(tmp_path) -> None:
    for name, values in {"eight.tif": GREY, "deep.tif": np.rint(RAMP * 65535).astype(np.uint16)}.items():
        Image.fromarray(values).save(tmp_path / name, tiffinfo={262: 0})
        negative = tmp_path / name
        with Image.open(negative) as image:
            if image.tag_v2[262] != 0:
                pytest.skip("this Pillow does not write the tag")
            raw = np.asarray(image)
        if raw.dtype == np.uint8:  # inverted by Pillow itself
            assert np.array_equal(shown(negative), raw)
        else:
            assert np.abs(shown(negative).astype(int) - (255 - GREY)).max() <= 1
            assert "from white to black" in said_of(open_photo(negative))


def test_colours_of_16_bits_are_not_misread_without_a_word(tmp_path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="it comes with scikit-image")
    colours = np.rint(np.stack([RAMP] * 3, axis=-1) * 4095).astype(np.uint16)
    for compression in (None, "zlib"):
        tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", compression=compression)
        assert "the highest is 15 of 255; if the file holds fewer bits" in said_of(open_photo(tmp_path / "a.tif"))
    tifffile.imwrite(tmp_path / "b.tif", colours * 16, photometric="rgb")
    assert not said_of(open_photo(tmp_path / "b.tif"))
    tifffile.imwrite(tmp_path / "c.tif", colours.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match=r"c\.tif has a plane of 16 bits for each colour"):
        open_photo(tmp_path / "c.tif")
    planes = (colours * 16).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "d.tif", planes, photometric="rgb", planarconfig="separate", compression="zlib")
    assert np.abs(shown(tmp_path / "d.tif") - RAMP * 255).max() <= 1


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_pages_and_frames_are_chosen_and_named(tmp_path, suffix: str) -> None:
    pages = [Image.new("RGB", (20, 20), (80 * page,) * 3) for page in range(3)]
    path = tmp_path / f"pages.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    pages[0].save(path, save_all=True, append_images=pages[1:], **lossless)
    for page in range(3):
        assert abs(int(shown(path, page=page)[0, 0]) - 80 * page) <= 2
        assert said_of(open_photo(path, page=page)) == f"page {page} of pages 0 to 2 is used"
    assert said_of(open_photo(path)).endswith("choose another with page=")
    with pytest.raises(InputError, match=r"pages\..*page 3 is out of range; there are 3, from 0 to 2"):
        open_photo(path, page=3)


def test_a_photo_of_one_page_says_nothing(tmp_path) -> None:
    Image.fromarray(GREY).save(tmp_path / "photo.jpg")
    assert said_of(open_photo(tmp_path / "photo.jpg", page=0)) == ""


@given(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
    st.floats(-5, 9),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_the_order_of_values_is_kept(kind, seed: int, scale: float, inverted: bool) -> None:
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        values = (random.normal(size=(9, 9)) * 10**scale).astype(kind)
    grey, said = to_bytes(values, inverted=inverted)
    order = np.argsort(values.ravel(), kind="stable")
    steps = np.diff(grey.ravel()[order].astype(int))
    assert (steps <= 0).all() if inverted else (steps >= 0).all()
    assert "\n" not in said


def dicom(path, stored: np.ndarray, **tags):
    """Write a DICOM file; the type of the values says their bits and sign."""
    pydicom = pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = pydicom.uid.generate_uid()
    file.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    colours = stored.ndim == 3 and stored.shape[-1] == 3
    frames = len(stored) if stored.ndim == 3 and not colours else 1
    file.Rows, file.Columns = stored.shape[:2] if colours else stored.shape[-2:]
    if frames > 1:
        file.NumberOfFrames = frames
    bits = stored.dtype.itemsize * 8
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, tags.pop("BitsStored", bits), bits - 1
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(stored.dtype.kind == "i")
    file.SamplesPerPixel = 3 if colours else 1
    file.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        file.PlanarConfiguration = 0
    for name, value in tags.items():
        setattr(file, name, value)
    file.PixelData = stored.tobytes()
    file.save_as(path, enforce_file_format=True)
    return path


def test_ct_as_dicom_has_its_unit_and_its_window(tmp_path) -> None:
    stored = np.rint(RAMP * 3000).astype(np.int16)
    units = stored.astype(float) - 1024
    path = dicom(
        tmp_path / "ct.dcm",
        stored,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, 500],
        WindowWidth=[400, 9],
    )
    assert np.abs(shown(path) - np.clip((units + 160) / 400, 0, 1) * 255).max() <= 1
    assert "by the file's own window, values from -160 to 240" in said_of(open_photo(path))
    lung = shown(path, window="-600/1500")
    assert np.abs(lung - np.clip((units + 1350) / 1500, 0, 1) * 255).max() <= 1
    plain = dicom(tmp_path / "plain", stored, RescaleSlope=1, RescaleIntercept=-1024)  # known by its first bytes
    assert np.abs(shown(plain).astype(int) - GREY).max() <= 1
    assert "values from -1024 to 1976" in said_of(open_photo(plain))


def test_radiographs_as_dicom(tmp_path) -> None:
    twelve = np.rint(RAMP * 4000).astype(np.uint16)
    assert np.abs(shown(dicom(tmp_path / "a.dcm", twelve, BitsStored=12)) - twelve / 4095 * 255).max() <= 1
    negative = dicom(tmp_path / "b.dcm", twelve, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert np.abs(shown(negative) - (255 - twelve / 4095 * 255)).max() <= 1
    assert "from white to black" in said_of(open_photo(negative))
    frames = dicom(tmp_path / "c.dcm", np.stack([twelve, twelve[::-1]]), BitsStored=12)
    assert np.array_equal(shown(frames, page=1), shown(frames)[::-1])
    assert "frame 0 of frames 0 to 1 is used" in said_of(open_photo(frames))
    colours = np.stack([GREY, GREY[::-1], GREY.T], axis=-1)
    assert np.array_equal(np.asarray(open_photo(dicom(tmp_path / "d.dcm", colours))), colours)


def test_a_dicom_file_says_its_depth(tmp_path) -> None:
    dark = np.rint(RAMP * 900).astype(np.uint16)
    assert np.abs(shown(dicom(tmp_path / "a.dcm", dark, BitsStored=12)) - dark / 4095 * 255).max() <= 1
    signed = np.rint(RAMP * 2047).astype(np.int16)
    assert np.abs(shown(dicom(tmp_path / "b.dcm", signed, BitsStored=12)) - RAMP * 255).max() <= 1
    unsaid = dicom(tmp_path / "c.dcm", np.rint(RAMP * 4095).astype(np.uint16))  # 16 of 16 bits: the file's numbers
    assert np.abs(shown(unsaid) - RAMP * 255).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_lies_outside_of_a_scan_is_black_and_takes_no_contrast(tmp_path, photometric: str) -> None:
    stored = np.rint(RAMP * 1000).astype(np.int16)
    stored[-1, -1], stored[0, 0] = -30, 1000
    tags = {"PhotometricInterpretation": photometric}
    expected = shown(dicom(tmp_path / "whole.dcm", stored, **tags)).copy()
    stored[2:4], expected[2:4] = -2000, 0
    padded = dicom(tmp_path / "a.dcm", stored, PixelPaddingValue=-2000, **tags)
    assert np.array_equal(shown(padded), expected)
    limited = dicom(tmp_path / "b.dcm", stored, PixelPaddingValue=-2048, PixelPaddingRangeLimit=-1500, **tags)
    assert np.array_equal(shown(limited), expected)


def test_the_table_of_grey_values_of_a_radiograph_is_applied(tmp_path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "OW", np.rint(np.linspace(0, 1, 4096) ** 3 * 65535).astype(np.uint16).tobytes())
    twelve = np.rint(RAMP * 4095).astype(np.uint16)
    path = dicom(tmp_path / "a.dcm", twelve, BitsStored=12, VOILUTSequence=pydicom.Sequence([table]))
    assert np.abs(shown(path) - RAMP**3 * 255).max() <= 1
    assert said_of(open_photo(path)) == "by the file's own table (VOI LUT), values are shown from black to white"
    assert np.abs(shown(path, window="2048/4096") - RAMP * 255).max() <= 1


def test_the_s_shaped_window_of_a_mammogram_is_applied(tmp_path) -> None:
    twelve = np.rint(RAMP * 4095).astype(np.uint16)
    tags = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 1000}
    path = dicom(tmp_path / "a.dcm", twelve, VOILUTFunction="SIGMOID", **tags)
    assert np.abs(shown(path) - 255 / (1 + np.exp(-4 * (twelve - 2000.0) / 1000))).max() <= 1
    assert said_of(open_photo(path)) == (
        "by the file's own S-shaped window 2000/1000, values are shown from black to white"
    )
    linear = shown(dicom(tmp_path / "b.dcm", twelve, **tags)).copy()
    assert np.array_equal(shown(path, window="2000/1000"), linear), "a window that is asked for is linear"


def test_each_frame_of_enhanced_ct_has_its_own_unit_and_window(tmp_path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    unit, groups = pydicom.Dataset(), []
    unit.RescaleSlope, unit.RescaleIntercept = 1, -1024
    shared = pydicom.Dataset()
    shared.PixelValueTransformationSequence = pydicom.Sequence([unit])
    for centre in (40, -600):
        window, group = pydicom.Dataset(), pydicom.Dataset()
        window.WindowCenter, window.WindowWidth = centre, 400
        group.FrameVOILUTSequence = pydicom.Sequence([window])
        groups.append(group)
    stored = np.rint(RAMP * 3000).astype(np.int16)
    path = dicom(
        tmp_path / "a.dcm",
        np.stack([stored, stored]),
        SharedFunctionalGroupsSequence=pydicom.Sequence([shared]),
        PerFrameFunctionalGroupsSequence=pydicom.Sequence(groups),
    )
    for page, start in enumerate((-160, -800)):
        assert np.abs(shown(path, page=page) - np.clip((stored - 1024.0 - start) / 400, 0, 1) * 255).max() <= 1


@pytest.mark.parametrize("implicit", [True, False])
def test_a_dicom_file_without_its_header(tmp_path, implicit: bool) -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    whole = dicom(tmp_path / "a.dcm", np.rint(RAMP * 4095).astype(np.uint16), BitsStored=12)
    bare = pydicom.Dataset(pydicom.dcmread(whole))
    bare.save_as(tmp_path / "bare.dcm", implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert np.array_equal(shown(tmp_path / "bare.dcm"), shown(whole))


def test_a_window_for_colours_and_other_files_named_as_dicom_are_refused(tmp_path) -> None:
    colours = dicom(tmp_path / "a.dcm", np.stack([GREY] * 3, axis=-1))
    with pytest.raises(InputError, match=r"a\.dcm; give one for grey images only"):
        open_photo(colours, window="40/400")
    Image.fromarray(GREY).save(tmp_path / "b.dcm", "JPEG")
    with pytest.raises(InputError, match=r"is named as a DICOM file, but is not one"):
        open_photo(tmp_path / "b.dcm")


def test_damaged_medical_files_are_one_sentence(tmp_path) -> None:
    pytest.importorskip("pydicom", reason="the extra 'medical' is not installed")
    pytest.importorskip("nibabel", reason="the extra 'medical' is not installed")
    whole = dicom(tmp_path / "a.dcm", np.rint(RAMP * 4000).astype(np.uint16)).read_bytes()
    for name, content in {
        "cut.dcm": whole[:700],
        "text.dcm": b"no image at all" * 20,
        "head.dcm": whole[:140],
        "text.nii": b"no image at all" * 50,
        "text.nii.gz": b"no image at all" * 50,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            open_photo(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    with pytest.raises(InputError, match="more than the limit"):
        open_photo(tmp_path / "a.dcm", max_pixels=100)


def test_slices_of_a_nifti_file(tmp_path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="the extra 'medical' is not installed")
    volume = np.random.default_rng(0).integers(-1000, 1500, (12, 16, 5)).astype(np.int16)
    path = tmp_path / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    found = shown(path, window="40/400")
    expected = np.clip((np.rot90(volume[:, :, 2]) + 160) / 400, 0, 1) * 255
    assert found.shape == (16, 12)
    assert np.abs(found - expected).max() <= 1
    assert said_of(open_photo(path)).startswith("slice 2 of slices 0 to 4 is used; choose another with page=")
    assert not np.array_equal(shown(path, page=0), found)
    with pytest.raises(InputError, match="slice 5 is out of range"):
        open_photo(path, page=5)


def test_a_page_of_a_file_with_one_is_refused_in_the_singular() -> None:
    with pytest.raises(InputError, match=r"page 3 is out of range; there is only page 0"):
        page_number(3, 1)
