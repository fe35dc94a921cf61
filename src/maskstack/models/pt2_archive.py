"""A safe copy of a ``.pt2`` file: loading the copy unpickles nothing and runs no code of the file.

``torch.export.load`` trusts its file: it unpickles the example inputs and some weights, resolves any dotted name under
``torch`` as an operator, evaluates size expressions as Python, and imports the types of containers. The copy contains
only the parts that a plain network needs, and each string in it is checked against a pattern of allowed values.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from maskstack.errors import ModelError

_PLAIN_FILES = re.compile(
    r"archive_format|archive_version|(\.data/)?version|byteorder"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+"
)
_PAYLOADS = re.compile(r"data/(weights|constants)/model_(weights|constants)_config\.json")
_GRAPH = "models/model.json"
_EXAMPLES = "data/sample_inputs/model.pt"

_MOST_UNPACKED, _SMALL = 2, 10_000_000
"""An archive may unpack to this multiple of its size, and this number of bytes."""

# save and from_file are the only operators of aten that have the name of a file as argument.
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.(?!save\b|from_file\b)(?!__)\w+(\.(?!__)\w+)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan|wrap_with_set_grad_enabled"
    r"|wrap_with_autocast|flex_attention)"
    r"|torch\._?sym_\w+|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_)"
)
# Expressions in the form of sympy's srepr: Mul(Integer(2), Symbol('s0', positive=True)). The quantifiers are
# possessive, so that the time for matching grows only linearly with the length of the text.
_EXPRESSION = re.compile(
    r"(?:[a-z]{1,2}+\d++|[A-Z][A-Za-z]*+|int_oo|'[a-z]{1,2}+\d++'|'[\d.e+-]++'"
    r"|[a-z]++=(?:True|False|\d++)|[\d.]++|[-+*/%(),<>=&|~! ])++"
)
_LITERAL = re.compile(r"[^'\"\\\n\r]*")
_NAME = re.compile(r"[\w.:+]*")
_PATTERNS = {
    "target": _TARGET,
    "as_operator": _TARGET,
    "expr_str": _EXPRESSION,
    "as_string": _LITERAL,
    "as_strings": _LITERAL,
}
# Parts of the exporter's source code and guards, which are Python text.
_EMPTIED = {"metadata": dict, "guards_code": list}
_CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})


def safe_copy(path: Path) -> io.BytesIO:
    """Copy the network of a ``.pt2`` file to memory, without anything that would run when it is loaded.

    Raises:
        ModelError: The file is damaged, is not such an archive, or contains something that is not allowed.
    """
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
            check_unpacked(path, source)
            for entry in source.namelist():
                root, _, inner = entry.partition("/")
                content = _copied(path, inner, source, entry)
                if content is not None:
                    target.writestr(f"{root}/{inner}", content)
    except ModelError:
        raise
    # A damaged file raises many types of error, from BadZipFile and zlib.error to a KeyError in the graph.
    except Exception as error:
        raise ModelError(f"{path} is damaged or was not saved by torch.export.save; get a complete copy") from error
    copy.seek(0)
    return copy


def check_unpacked(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that takes much more memory than its file, before anything is unpacked.

    torch does not compress what it saves, so that only archives made for this purpose are refused.

    Raises:
        ModelError: It is such an archive.
    """
    unpacked, packed = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
    if unpacked > _MOST_UNPACKED * packed + _SMALL:
        raise ModelError(
            f"{path} has {packed / 1e6:,.1f} MB and would take {unpacked / 1e6:,.1f} MB when it is unpacked, which is "
            "refused; save it with torch, which does not compress"
        )


def _copied(path: Path, inner: str, source: zipfile.ZipFile, entry: str) -> bytes | None:
    """Content of the copy for a file of the archive; None if the file is left out."""
    if inner == _EXAMPLES:
        return b""
    if _PLAIN_FILES.fullmatch(inner):
        return source.read(entry)
    if _PAYLOADS.fullmatch(inner):
        config = json.loads(source.read(entry))
        if any(payload["use_pickle"] for payload in config["config"].values()):
            raise ModelError(
                f"{path} contains pickled objects, which are refused because they can run code; export it again"
            )
        return json.dumps(config).encode()
    if inner == _GRAPH:
        return json.dumps(_checked(path, "", json.loads(source.read(entry)))).encode()
    return None


def _checked(path: Path, key: str, value: Any) -> Any:
    """The graph without its metadata, after each of its strings has been checked."""
    if isinstance(value, dict):
        return {
            each: _EMPTIED[each]() if each in _EMPTIED else _checked(path, each, inner)
            for each, inner in value.items()
            if _allow(path, _NAME, each)
        }
    if isinstance(value, list):
        return [_checked(path, key, inner) for inner in value]
    if not isinstance(value, str):
        return value
    if key in ("in_spec", "out_spec"):
        _check_containers(path, json.loads(value))
    else:
        _allow(path, _PATTERNS.get(key, _NAME), value)
    return value


def _allow(path: Path, pattern: re.Pattern[str], text: str) -> bool:
    if pattern.fullmatch(text):
        return True
    raise ModelError(
        f"{path} contains {text[:60]!r}, which is refused because it could run code; export a plain network"
    )


def _check_containers(path: Path, spec: Any) -> None:
    """Refuse containers whose description makes torch import a module, such as enums and defaultdicts."""
    for node in spec[1:] if isinstance(spec, list) else [spec]:
        context = json.loads(node["context"]) if node["context"] else None
        plain = context is None or (isinstance(context, list) and all(isinstance(key, str | int) for key in context))
        if node["type"] not in _CONTAINERS or not plain:
            raise ModelError(
                f"{path} takes or returns a {node['type']}; export it with tensors, tuples, lists or dicts"
            )
        for child in node["children_spec"]:
            _check_containers(path, child)
