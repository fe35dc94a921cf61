"""The table of methods by name, and methods of the user's own. To add one, write a file for it and add a line here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from maskstack import checks
from maskstack.errors import InputError
from maskstack.explainers.base import CostedExplainer, MapOptions
from maskstack.explainers.cam.cam import CAM
from maskstack.explainers.controls import Control
from maskstack.explainers.extremal import ExtremalPerturbation
from maskstack.explainers.gradients import GradientSHAP, IntegratedGradients, SmoothGrad
from maskstack.explainers.hdm import HDM
from maskstack.explainers.mdm import MDM
from maskstack.explainers.own import OwnMethod
from maskstack.explainers.perturbations import LIME, KernelSHAP, Occlusion
from maskstack.explainers.rise import RISE
from maskstack.own_code import code_digest, find_function
from maskstack.scoring import Model


@dataclass(frozen=True)
class Method:
    """An entry of the table.

    Attributes:
        build: Makes the explainer from a network, ``fixed`` and the caller's options.
        about: Description of the method, with its paper.
        fixed: Options that turn the class into this method.
    """

    build: Callable[..., CostedExplainer]
    about: str
    fixed: Mapping[str, Any] = field(default_factory=dict)


METHODS: Mapping[str, Method] = {
    "mdm": Method(MDM, "multiple dynamic masks (Peng et al. 2022), default settings"),
    "mdm-fast": Method(MDM, "MDM with fewer and larger steps", {"preset": "fast"}),
    "mdm-fine": Method(MDM, "MDM with more and smaller steps", {"preset": "fine"}),
    "mdm-paper": Method(MDM, "MDM as in the paper's abstract, each size learned alone", {"preset": "paper"}),
    "hdm": Method(HDM, "MDM in modules, each with the earlier regions removed (Peng et al. 2023)"),
    "gradcam": Method(CAM, "Grad-CAM (Selvaraju et al. 2017)", {"kind": "gradcam"}),
    "gradcam++": Method(CAM, "Grad-CAM++ (Chattopadhay et al. 2018)", {"kind": "gradcam++"}),
    "xgradcam": Method(CAM, "XGrad-CAM (Fu et al. 2020)", {"kind": "xgradcam"}),
    "hirescam": Method(CAM, "HiRes-CAM (Draelos and Carin 2020)", {"kind": "hirescam"}),
    "layercam": Method(CAM, "Layer-CAM (Jiang et al. 2021)", {"kind": "layercam"}),
    "eigencam": Method(CAM, "Eigen-CAM (Muhammad and Yeasin 2020); does not depend on the class", {"kind": "eigencam"}),
    "scorecam": Method(CAM, "Score-CAM (Wang et al. 2020)", {"kind": "scorecam"}),
    "ablationcam": Method(CAM, "Ablation-CAM (Desai and Ramaswamy 2020)", {"kind": "ablationcam"}),
    "ig": Method(IntegratedGradients, "integrated gradients (Sundararajan et al. 2017)"),
    "smoothgrad": Method(SmoothGrad, "SmoothGrad (Smilkov et al. 2017)"),
    "gradientshap": Method(GradientSHAP, "GradientSHAP (Lundberg and Lee 2017)"),
    "occlusion": Method(Occlusion, "occlusion (Zeiler and Fergus 2014)"),
    "lime": Method(LIME, "LIME (Ribeiro et al. 2016) on superpixels"),
    "kernelshap": Method(KernelSHAP, "KernelSHAP (Lundberg and Lee 2017) on superpixels"),
    "rise": Method(RISE, "RISE (Petsiuk et al. 2018)"),
    "extremal": Method(ExtremalPerturbation, "extremal perturbation (Fong et al. 2019)"),
    "random": Method(Control, "control: a random map", {"kind": "random"}),
    "centre": Method(Control, "control: a Gaussian in the centre", {"kind": "centre"}),
    "edges": Method(Control, "control: the image's edges", {"kind": "edges"}),
}
"""All methods, by their names on the command line."""

OWN = "python"
"""Begins the spec of a method of the user's own, ``python:FILE:FUNCTION``, see :class:`OwnMethod`."""

CONTROLS = ("random", "centre", "edges")
"""The control methods, which do not depend on the network."""


def parse_method(spec: str) -> tuple[str, dict[str, Any]]:
    """Read a method's name and options.

    Raises:
        InputError: There is no such method, or an option is not written as key=value.

    >>> parse_method("rise:masks=1000:seed=2")
    ('rise', {'masks': 1000, 'seed': 2})
    >>> parse_method("python:mine.py:explain:steps=3")
    ('python:mine.py:explain', {'steps': 3})
    """
    name, *options = spec.strip().split(":")
    if name == OWN:
        if len(options) < 2 or "=" in options[0] + options[1]:
            raise InputError(f"the method {spec!r} does not name a function; write {OWN}:FILE:FUNCTION")
        name, options = ":".join([name, *options[:2]]), options[2:]
    elif name not in METHODS:
        hint = checks.did_you_mean(name, METHODS) or f" the methods are {', '.join(METHODS)}"
        raise InputError(f"there is no method {name!r};{hint}")
    read = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise InputError(f"the method {spec!r} has the option {option!r}; write options as {name}:key=value")
        read[key] = _value(value)
    return name, read


def code_digests(specs: Iterable[str]) -> dict[str, str]:
    """The digest of the file of each method of one's own among these, by its spec, see :func:`code_digest`."""
    own = ((spec, parse_method(spec)[0]) for spec in specs)
    return {spec: code_digest(name.removeprefix(f"{OWN}:")) for spec, name in own if name not in METHODS}


def make_explainer(spec: str, model: Model, **options: Any) -> CostedExplainer:
    """Make the explainer that a method's name and options ask for.

    Args:
        spec: As ``mdm``, ``mdm:steps=100`` or ``rise:masks=1000:seed=2``; or ``python:FILE:FUNCTION`` for a function of
            one's own, see :class:`OwnMethod`, which is imported and run.
        model: The network, or what ``load_model`` returned.
        **options: Options of the method, or settings of the user's own function; those of the spec take precedence.

    Raises:
        InputError: There is no such method or option.
        MissingExtraError: A package is needed that is not installed.
    """
    name, own = parse_method(spec)
    given = {**options, **own}
    if name not in METHODS:
        usual = MapOptions.__annotations__
        general = {key: value for key, value in given.items() if key in usual}
        settings = {key: value for key, value in given.items() if key not in usual}
        return OwnMethod(model, find_function(name.removeprefix(f"{OWN}:")), name=name, settings=settings, **general)
    method = METHODS[name]
    checks.known_options(name, given, [key for key in option_names(method.build) if key not in method.fixed])
    return method.build(model, **method.fixed, **given)


def option_names(build: Callable[..., Any]) -> list[str]:
    """The keyword options of a method's class, those of its ``**options`` included.

    >>> option_names(RISE)
    ['masks', 'grid', 'p', 'seed', 'objective', 'batch_size', 'class_names', 'output']
    """
    found: list[str] = []
    hints = get_type_hints(build.__init__)
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            (options,) = get_args(hints[name])  # Unpack[...] of a TypedDict
            found += options.__annotations__
        elif name != "model":
            found.append(name)
    return found


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
