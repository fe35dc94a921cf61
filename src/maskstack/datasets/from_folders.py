"""Images in one folder per class, or in a single folder without classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages
from maskstack.datasets.files import is_picture
from maskstack.datasets.match import IMAGENET_CLASSES, are_wnids
from maskstack.errors import InputError

_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})


def from_folders(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read images whose classes are the sorted names of the subfolders.

    Folders named ``train``, ``val``, ``test`` and the like are splits if there are no other folders. Pictures that
    ``maskstack explain --out`` or ``gallery`` wrote beside the images are left out.

    Args:
        root: Folder of the subfolders, or of images, which then have no label.
        split: Folder of the root; None for all.

    Raises:
        InputError: There are no images, or the split does not exist.
    """
    below = _subfolders(root)
    splits = below if below and all(folder.name.lower() in _SPLITS for folder in below) else []
    names = sorted({folder.name for base in splits or [root] for folder in _subfolders(base)})
    if split is not None:
        splits = [folder for folder in below if folder.name == split]
        if not splits:
            raise InputError(f"{root} has no folder {split} for the split; it has {_listed(below)}")
        names = names if splits[0].name.lower() in _SPLITS else [folder.name for folder in _subfolders(splits[0])]
    bases = splits or [root]
    indices = {name: index for index, name in enumerate(names)}
    images = tuple(image for base in bases for image in _images(root, base, indices))
    if not images:
        raise InputError(
            f"{root} contains no images; give a folder of images, or a folder with one subfolder per class"
        )
    # Sorted by their WordNet ids, the classes are in the standard order.
    whole = len(names) == IMAGENET_CLASSES and are_wnids(names)
    return AnnotatedImages(images, tuple(names), "folders", indices_given=whole)


def _images(root: Path, base: Path, indices: dict[str, int]) -> Iterator[AnnotatedImage]:
    for path in sorted(base.iterdir()):
        if is_picture(path) and path.is_file():
            yield AnnotatedImage(path, path.relative_to(root).as_posix())
    for folder in _subfolders(base):
        for path in sorted(folder.rglob("*")):
            if is_picture(path) and path.is_file():
                name = path.relative_to(root).as_posix()
                yield AnnotatedImage(path, name, indices[folder.name], folder.name)


def _subfolders(folder: Path) -> list[Path]:
    """Subfolders with visible content, without folders such as __MACOSX, which archives of macOS contain."""
    found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    return sorted(path for path in found if any(not each.name.startswith(".") for each in path.iterdir()))


def _listed(folders: list[Path]) -> str:
    return ", ".join(folder.name for folder in folders[:10]) or "no folders"
