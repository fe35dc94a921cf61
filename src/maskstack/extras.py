"""Packages that only an optional extra installs."""

from __future__ import annotations

import importlib
from typing import Any

from maskstack.errors import MissingExtraError
from maskstack.reasons import reason


def require(package: str, *, extra: str) -> Any:
    """Import a package of an optional extra.

    Args:
        package: Name by which it is imported.
        extra: The extra of maskstack that installs it.

    Raises:
        MissingExtraError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(package)
    # A torchvision built for another torch fails with RuntimeError, a missing shared library with OSError.
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingExtraError(
            f"this needs the package {package}, which could not be imported ({reason(error)}); "
            f"run pip install 'maskstack[{extra}]'"
        ) from error
