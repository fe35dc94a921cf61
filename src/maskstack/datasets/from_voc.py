"""Pascal VOC: one XML file for each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box
from maskstack.datasets.boxes import checked_box, known_size, main_class
from maskstack.datasets.files import check_present, folder_of, relative
from maskstack.datasets.regions import MaskFile
from maskstack.datasets.tables import read_words
from maskstack.errors import InputError, reason

_LARGEST_XML = 10_000_000  # Bytes; the annotation of one image has a few thousand.

_VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""Classes in the order of their values in SegmentationClass, which start at 1."""


@dataclass(frozen=True)
class _Annotation:
    """The content of one XML file."""

    file: str
    size: tuple[int, int] | None
    objects: list[tuple[str, Box]]


def from_voc(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read ``Annotations/*.xml``.

    An image's class is the one whose boxes have the largest total area; only boxes of that class are kept. Masks are
    those of Pascal's own 20 classes; of other classes only in images with objects of one class.

    Args:
        root: Folder of ``Annotations`` and ``JPEGImages``, and of ``SegmentationClass`` if there are masks.
        split: Name of a list in ``ImageSets/Main``; None for all.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    paths = sorted((root / "Annotations").glob("*.xml"))
    if not paths:
        raise InputError(f"{root / 'Annotations'} contains no XML files; give the folder that contains Annotations")
    found = {path: _read(path) for path in paths}
    names = tuple(sorted({name for each in found.values() for name, _ in each.objects}))
    if split is not None:
        chosen = _split(root, split)
        found = {path: each for path, each in found.items() if path.stem in chosen}
    files = [each.file for each in found.values()]
    folder = folder_of(files, [root / "JPEGImages", root / "images", root / "Annotations", root])
    images = tuple(_image(root, folder, path.stem, each, names) for path, each in found.items())
    if not images:
        raise InputError(f"no file of {root / 'Annotations'} is in the split {split}; correct it")
    check_present(images, root / "Annotations")
    return AnnotatedImages(images, names, "voc")


def _image(root: Path, folder: Path, stem: str, found: _Annotation, names: tuple[str, ...]) -> AnnotatedImage:
    main = main_class(found.objects)
    boxes = tuple(box for name, box in found.objects if name == main)
    mask = root / "SegmentationClass" / f"{stem}.png"
    # Other data sets in this format do not specify which class each value stands for, so that their masks are used only
    # where all objects are of one class.
    value = _VOC.index(main) + 1 if main in _VOC else None
    known = value is not None or len(boxes) == len(found.objects)
    regions = (MaskFile(mask, value),) if main and known and mask.is_file() else ()
    label = names.index(main) if main else None
    return AnnotatedImage(folder / found.file, found.file, label, main, boxes, regions=regions, size=found.size)


def _read(path: Path) -> _Annotation:
    tree = _parse_xml(path)
    file = relative(tree.findtext("filename", "").strip() or f"{path.stem}.jpg", str(path))
    width, height = (tree.findtext(f"size/{side}", "").strip() for side in ("width", "height"))
    size = known_size(int(width), int(height)) if width.isdecimal() and height.isdecimal() else None
    return _Annotation(file, size, [(_text(each, "name", path), _box(each, path)) for each in tree.iter("object")])


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


def _parse_xml(path: Path) -> Element:
    """The root element of an XML file from an untrusted source.

    A document type is refused, because it can declare entities that grow without limit or read other files.

    Raises:
        InputError: The file cannot be read as XML, is too large, or has a document type.
    """

    def refuse(*_: object) -> None:
        raise InputError(f"{path} has a document type, which annotations do not need; remove <!DOCTYPE ...>")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        if path.stat().st_size > _LARGEST_XML:
            raise InputError(
                f"{path} is larger than {_LARGEST_XML} bytes, too large for one annotation; check the file"
            )
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except InputError:
        raise
    # An unknown encoding is a LookupError, a wrong one a ValueError.
    except (OSError, expat.ExpatError, LookupError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as XML ({reason(error)}); get a complete copy") from error
