"""Finding a function of the user's own code, by the name of its module or file."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from maskstack.errors import InputError
from maskstack.files import file_digest


def find_function(name: str) -> Callable[..., Any]:
    """Import a module or a file, and find a function in it.

    Args:
        name: ``module:function`` or ``path/to/file.py:function``.

    Raises:
        InputError: The module cannot be imported or does not have the function.
    """
    module_name, _, function_name = name.rpartition(":")
    if not module_name or not function_name:
        raise InputError(f"python:{name} does not name a function; write python:module:function")
    try:
        module = _from_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
    # Importing runs the module, which may raise any error.
    except Exception as error:
        raise InputError(
            f"{module_name} cannot be imported ({type(error).__name__}: {error}); check its name"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f"{module_name} has no function {function_name}; define it there")
    return function  # type: ignore[no-any-return]


def code_digest(name: str) -> str:
    """The digest of the file that holds a function, which is not run; empty if its module has no file.

    Args:
        name: As for :func:`find_function`, which has found the function.

    Raises:
        InputError: The file can no longer be read.
    """
    module_name, _, _ = name.rpartition(":")
    if module_name.endswith(".py"):
        return file_digest(module_name)
    place = importlib.util.find_spec(module_name)
    return file_digest(place.origin) if place and place.has_location and place.origin else ""


def _from_file(path: Path) -> ModuleType:
    place = importlib.util.spec_from_file_location(path.stem, path)
    if place is None or place.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module
