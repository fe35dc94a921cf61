"""ImageNet's own list of boxes: LOC_val_solution.csv with LOC_synset_mapping.txt."""

from __future__ import annotations

from pathlib import Path

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box
from maskstack.datasets.boxes import checked_box, main_class
from maskstack.datasets.files import check_present, folder_of, relative
from maskstack.datasets.tables import TableRow, read_table, read_words
from maskstack.errors import InputError

COLUMNS = ("ImageId", "PredictionString")
_MAPPING = "LOC_synset_mapping.txt"
_WORDS = 5  # A WordNet id and a box.


def from_imagenet(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read ``LOC_val_solution.csv``, or the file of another split.

    Args:
        root: The CSV file, or the folder that contains it and ``LOC_synset_mapping.txt``. The images are next to it,
            in ``images/``, ``val/`` or ``ILSVRC/Data/CLS-LOC/val/``.
        split: ``train`` or ``val``; None for ``val``, or for the other one if there is no ``val``.

    Raises:
        InputError: A file is missing or cannot be read; the message names file and line.
    """
    table = _table(root, split)
    mapping = read_words(_mapping(table), columns=("wnid", "name"), rest=True)
    names = {row.text("wnid"): (index, row.text("name")) for index, row in enumerate(mapping)}
    rows = read_table(table, columns=COLUMNS)
    kind = table.name.split("_")[1] if table.name.count("_") > 1 else "val"
    files = [relative(_file(row.text("ImageId"), kind), row.where) for row in rows]
    places = ("", "images", kind, f"Data/CLS-LOC/{kind}", f"ILSVRC/Data/CLS-LOC/{kind}")
    folder = folder_of(files, [table.parent / place for place in places])
    images = tuple(_image(row, folder, file, names) for row, file in zip(rows, files, strict=True))
    check_present(images, table)
    return AnnotatedImages(images, tuple(name for _, name in names.values()), "imagenet", indices_given=True)


def _image(row: TableRow, folder: Path, file: str, names: dict[str, tuple[int, str]]) -> AnnotatedImage:
    words = row.text("PredictionString").split()
    if not words or len(words) % _WORDS:
        raise InputError(f"{row.where}: PredictionString is not a list of classes with four numbers each; correct it")
    objects: list[tuple[str, Box]] = []
    for start in range(0, len(words), _WORDS):
        wnid, *values = words[start : start + _WORDS]
        if wnid not in names:
            raise InputError(f"{row.where}: {wnid!r:.40} is not in {_MAPPING}; correct it")
        objects.append((wnid, checked_box(values, row.where)))
    main = main_class(objects)
    index, name = names[main or ""]
    return AnnotatedImage(folder / file, file, index, name, tuple(box for wnid, box in objects if wnid == main))


def _file(image_id: str, kind: str) -> str:
    # Only the training images are in one folder per class; each file's name starts with the name of its folder.
    return f"{image_id.split('_')[0]}/{image_id}.JPEG" if kind == "train" else f"{image_id}.JPEG"


def _table(root: Path, split: str | None) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob(f"LOC_{split or '*'}_solution.csv"))
    chosen = [path for path in found if path.name == "LOC_val_solution.csv"] or found
    if not chosen:
        raise InputError(f"{root} has no LOC_{split or 'val'}_solution.csv; get it from ImageNet's challenge")
    return chosen[0]


def _mapping(table: Path) -> Path:
    path = table.parent / _MAPPING
    if not path.is_file():
        raise InputError(f"{path} does not exist, but it gives the order of the classes; put it next to {table.name}")
    return path
