"""Small files that would take much memory are refused or bounded before they are unpacked."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from maskstack.errors import InputError, MaskstackError
from maskstack.models import open_photo
from maskstack.models.weights import read_weights

PEAKS = """
import os, resource, sys
from maskstack.models import open_photo

def now():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

for path in sys.argv[1:]:
    # Each photo in a process of its own, whose peak begins anew; importing takes seconds, so that is done once.
    if os.fork() == 0:
        before = now()
        open_photo(path)
        print(now() - before, flush=True)
        os._exit(0)
    os.wait()
"""


def peaks(paths: list[Path]) -> list[float]:
    """Megabytes that a process takes more at its peak than when it begins to open a photo, for each."""
    found = subprocess.run([sys.executable, "-c", PEAKS, *map(str, paths)], capture_output=True, text=True, check=True)
    return [float(line) for line in found.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is measured in kilobytes on Linux only")
def test_a_large_flat_photo_takes_twelve_bytes_for_each_pixel_at_most(tmp_path) -> None:
    paths = [tmp_path / f"{mode}.png" for mode in ("RGBA", "I;16", "LA", "P", "1")]
    for path in paths:
        Image.new(path.stem, (6000, 4000)).save(path)
        assert path.stat().st_size < 300_000
    for path, found in zip(paths, peaks(paths), strict=True):
        # The pixels themselves, three or four bytes each or more, show that the peak is that of the photo.
        assert 24 * 3 < found < 24 * 12 + 80, path.stem


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(width: int, height: int) -> bytes:
    """A PNG file that declares a size and holds no pixels."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(2**31 - 1, 2**31 - 1), (100_000, 100_000), (10_000, 8001), (2**30, 8)])
def test_a_declared_size_is_checked_before_the_pixels(width, height, tmp_path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(width, height))
    with pytest.raises(InputError, match=r"more than the limit|larger than Pillow allows"):
        open_photo(tmp_path / "bomb.png")


def test_an_icon_that_holds_a_larger_image_than_it_declares(tmp_path) -> None:
    inner = png(9500, 9500)
    entry = bytes([16, 16, 0, 0]) + (1).to_bytes(2, "little") + (32).to_bytes(2, "little")
    entry += len(inner).to_bytes(4, "little") + (22).to_bytes(4, "little")
    (tmp_path / "bomb.ico").write_bytes(b"\x00\x00\x01\x00\x01\x00" + entry + inner)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        open_photo(tmp_path / "bomb.ico")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_tiff_file_with_huge_tiles(tmp_path) -> None:
    """A tile of 60,000 x 60,000 pixels in an image of 16 x 16: Pillow would decode the whole tile."""
    entries = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1), (322, 60_000), (323, 60_000)]
    entries += [(324, 8), (325, 16)]  # where the tile is, and its bytes
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, each) for tag, each in entries)
    (tmp_path / "bomb.tiff").write_bytes(b"II*\0" + struct.pack("<I", 24) + bytes(16) + table + bytes(4))
    with pytest.raises(InputError):
        open_photo(tmp_path / "bomb.tiff")


def compressed(source: Path, target: Path, *, extra: int = 0) -> None:
    """A copy of an archive of torch with compressed content, and a tensor of zeros made longer."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            is_tensor = "/data/" in entry.filename and not entry.filename.endswith(".json")
            new.writestr(entry.filename, content + bytes(extra if is_tensor else 0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exported", "weights"])
def test_a_compressed_archive_is_refused_before_it_is_unpacked(kind, tmp_path) -> None:
    from maskstack.models import load_model

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    whole, bomb = tmp_path / "whole.pt2", tmp_path / ("bomb.pt2" if kind == "exported" else "bomb.pth")
    if kind == "exported":
        torch.export.save(torch.export.export(network, (torch.rand(1, 3, 16, 16),)), whole)
    else:
        torch.save(network.state_dict(), whole)
    compressed(whole, bomb, extra=60_000_000)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(MaskstackError, match="would take"):
        load_model(f"exported:{bomb}") if kind == "exported" else read_weights(bomb)


def test_a_shard_of_a_billion_rows(tmp_path, monkeypatch) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    from maskstack.runs import shards
    from maskstack.runs.rows import ResultRow
    from maskstack.runs.store import Store

    monkeypatch.setattr(shards, "_MOST_ROWS", 10)
    store = Store.open(tmp_path)
    store.write([ResultRow("m", "x", f"{number}", "g", "v", 0.5) for number in range(11)])
    with pytest.raises(InputError, match="more than any run writes"):
        store.check()


@pytest.mark.slow
def test_long_text_in_a_photo_is_no_trouble(tmp_path) -> None:
    text = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(200_000_000), 9))
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    content = file.getvalue()
    (tmp_path / "text.png").write_bytes(content[:33] + text + content[33:])
    try:
        assert open_photo(tmp_path / "text.png").size == (16, 16)
    except InputError as error:
        assert "\n" not in str(error)
