"""The Python code that makes the same map again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskstack.errors import InputError
from maskstack.explainers import HDM, MDM
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.explanation import Explanation
from maskstack.jobs.photos import read_output
from maskstack.jobs.verify import MEANINGS
from maskstack.models import LoadedModel

_MDM = "from maskstack import MDM, load_model"
_OTHERS = "from maskstack import load_model\nfrom maskstack.explainers.table import make_explainer"

_LINES = """\
{imports}

net = load_model({spec!r})
explanation = {maker}({photo!r}, {target}{stop})  # {name}
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
    method: str = "mdm",
) -> str:
    """Python code that makes the same map again.

    Args:
        spec: Spec of the network.
        photo: File name of the photo.
        preset: Preset of the search; only MDM has one.
        target: Class index.
        name: Name of the class.
        settings: Changes to the preset, or options of another method.
        stopped_after: Steps after which the search was stopped; None if it ended by itself.
        method: Name of the method.

    >>> code = recipe(spec="bundled", photo="a.jpg", preset="fast", target=282, name="tiger cat", settings={"seed": 1})
    >>> print(code.splitlines()[3])
    explanation = MDM(net, preset='fast', seed=1)('a.jpg', 282)  # tiger cat
    """
    mdm = method == "mdm"
    options = {**({"preset": preset} if mdm else {}), **(settings or {})}
    given = ["net" if mdm else f"{method!r}, net", *(f"{key}={value!r}" for key, value in options.items())]
    # Not by the setting steps: a search of fewer steps shifts the image in another order.
    stop = f", progress=lambda state: state.step < {stopped_after}" if stopped_after else ""
    return _LINES.format(
        imports=_MDM if mdm else _OTHERS,
        maker=f"{'MDM' if mdm else 'make_explainer'}({', '.join(given)})",
        spec=spec,
        photo=photo,
        target=target,
        stop=stop,
        name=" ".join(name.split()),
    )


def options_of(found: Explanation, net: LoadedModel) -> dict[str, Any]:
    """The options with which a method makes the map of a file again: those that differ from its defaults.

    Args:
        found: The explanation of the file.
        net: The network that it explains.

    Raises:
        InputError: A few lines cannot make the map; the message says why.
    """
    if found.method not in METHODS:
        raise InputError(f"there is no Python code for this map: maskstack has no method {found.method!r}")
    if found.objective not in MEANINGS or found.target is None:
        raise InputError(f"there is no Python code for this map: a file cannot hold its objective, {found.objective}")
    explainer: Any = make_explainer(found.method, net)
    usual = _settings(explainer, tuple(found.saliency.shape[2:]))
    if not found.settings.keys() <= usual.keys() or "given" in str(found.settings.get("fill")):
        raise InputError("there is no Python code for this map: a file cannot hold all of its settings")
    options = {name: value for name, value in found.settings.items() if value != usual[name]}
    if MEANINGS[found.objective] != explainer.user_model.meaning:
        options["objective"] = MEANINGS[found.objective]
    if found.notes.get("output"):
        options["output"] = read_output(found.notes["output"])
    return options


def _settings(explainer: Any, size: tuple[int, ...]) -> Mapping[str, Any]:
    """The settings that a method's explanations of images of this size hold."""
    if isinstance(explainer, MDM):
        return explainer.settings_for(size).as_dict()
    settings: Mapping[str, Any] = (
        explainer.plan.fitting(size).as_dict() if isinstance(explainer, HDM) else explainer.settings
    )
    return settings
