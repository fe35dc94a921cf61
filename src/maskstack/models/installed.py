"""Which kinds of networks can be loaded here, without importing anything heavy."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from maskstack.models.kinds import KINDS, Kind


class InstalledKind(NamedTuple):
    """What is installed for one kind of networks.

    Attributes:
        kind: Its name in specs.
        what: What it loads, in words.
        version: Packages and their versions.
        status: ``ready``, or how to install what is missing.
        example: A spec.
    """

    kind: str
    what: str
    version: str
    status: str
    example: str


def installed_models() -> list[InstalledKind]:
    """What is installed for each kind of networks.

    >>> [(each.kind, each.status) for each in installed_models() if each.kind == "python"]
    [('python', 'ready')]
    """
    return [_look(name, kind) for name, kind in KINDS.items()]


def _look(name: str, kind: Kind) -> InstalledKind:
    there = all(find_spec(module) is not None for module in kind.packages.values())
    status = "ready" if there else f"missing: pip install 'maskstack[{kind.extra}]'"
    versions = ", ".join(f"{package} {_version(package)}" for package in kind.packages)
    return InstalledKind(name, kind.what, versions, status, kind.example)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
