"""Pascal VOC: an XML file for each picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box
from maskstack.datasets.objects import checked_box, main_class
from maskstack.datasets.places import check_present, folder_of, relative
from maskstack.datasets.regions import MaskFile
from maskstack.datasets.safe_xml import parse
from maskstack.datasets.tables import read_words
from maskstack.errors import InputError

_VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of their values, from 1, in SegmentationClass."""


def from_voc(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read ``Annotations/*.xml``.

    An image's class is the one whose boxes cover most, its boxes those of that class.

    Args:
        root: The folder of ``Annotations`` and ``JPEGImages``; ``SegmentationClass`` gives masks if it is there.
        split: Name of a list in ``ImageSets/Main``; None for all.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    paths = sorted((root / "Annotations").glob("*.xml"))
    if not paths:
        raise InputError(f"{root / 'Annotations'} holds no XML files; give the folder above Annotations")
    found = {path: _read(path) for path in paths}
    names = tuple(sorted({name for _, objects in found.values() for name, _ in objects}))
    if split is not None:
        chosen = _split(root, split)
        found = {path: each for path, each in found.items() if path.stem in chosen}
    files = [file for file, _ in found.values()]
    folder = folder_of(files, [root / "JPEGImages", root / "images", root / "Annotations", root])
    images = tuple(_image(root, folder / file, path.stem, objects, names) for path, (file, objects) in found.items())
    if not images:
        raise InputError(f"no file of {root / 'Annotations'} is in the split {split}; correct it")
    check_present(images, root / "Annotations")
    return AnnotatedImages(images, names, "voc")


def _image(root: Path, path: Path, stem: str, objects: list[tuple[str, Box]], names: tuple[str, ...]) -> AnnotatedImage:
    main = main_class(objects)
    boxes = tuple(box for name, box in objects if name == main)
    mask = root / "SegmentationClass" / f"{stem}.png"
    # Other data sets in this form do not say which value is which class.
    value = _VOC.index(main) + 1 if main in _VOC else None
    regions = (MaskFile(mask, value),) if main and mask.is_file() else ()
    label = names.index(main) if main else None
    return AnnotatedImage(path, path.name, label, main, boxes, regions=regions)


def _read(path: Path) -> tuple[str, list[tuple[str, Box]]]:
    tree = parse(path)
    file = relative(tree.findtext("filename", "").strip() or f"{path.stem}.jpg", str(path))
    return file, [(_text(each, "name", path), _box(each, path)) for each in tree.iter("object")]


def _box(element: Element, path: Path) -> Box:
    sides = [_text(element, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = checked_box(sides, str(path))
    # Pascal counts pixels from 1 and includes the last.
    return max(left - 1, 0.0), max(top - 1, 0.0), right, bottom


def _text(element: Element, tag: str, path: Path) -> str:
    text = element.findtext(tag, "").strip()
    if not text:
        raise InputError(f"{path} has an object without {tag}; add it")
    return text


def _split(root: Path, split: str) -> set[str]:
    lists = root / "ImageSets" / "Main"
    path = lists / f"{relative(split, 'the split')}.txt"
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in lists.glob("*.txt") if "_" not in each.stem)) or "none"
        raise InputError(f"{root} has no split {split}; ImageSets/Main has {there}")
    return {row.text("line").split()[0] for row in read_words(path, columns=["line"], rest=True)}
