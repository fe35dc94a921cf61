"""The Python code that makes the same map again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LINES = """\
from maskstack import MDM, load_model

net = load_model({spec!r})
explanation = MDM(net, {settings})({photo!r}, {target}{stop})  # {name}
explanation.plot({photo!r}).savefig("figure.png")
explanation.save("explanation.safetensors")
"""


def recipe(
    *,
    spec: str,
    photo: str,
    preset: str,
    target: int,
    name: str,
    settings: Mapping[str, Any] | None = None,
    stopped_after: int | None = None,
) -> str:
    """Python code that makes the same map again.

    Args:
        spec: Spec of the network.
        photo: File name of the photo.
        preset: Preset of the search.
        target: Class index.
        name: Name of the class.
        settings: Changes to the preset.
        stopped_after: Steps after which the search was stopped; None if it ended by itself.

    >>> code = recipe(spec="bundled", photo="a.jpg", preset="fast", target=282, name="tiger cat", settings={"seed": 1})
    >>> print(code.splitlines()[3])
    explanation = MDM(net, preset='fast', seed=1)('a.jpg', 282)  # tiger cat
    """
    options = {"preset": preset, **(settings or {})}
    # Not by the setting steps: a search of fewer steps shifts the image in another order.
    stop = f", progress=lambda state: state.step < {stopped_after}" if stopped_after else ""
    written = ", ".join(f"{key}={value!r}" for key, value in options.items())
    one_line = " ".join(name.split())
    return _LINES.format(spec=spec, photo=photo, settings=written, target=target, stop=stop, name=one_line)
