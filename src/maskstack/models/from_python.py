"""``python:module:function``: a network built by the user's own code."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from maskstack.errors import InputError, ModelError, a_type
from maskstack.models.loaded import LoadedModel, loaded, loaded_for_volumes
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import PICTURE_KEYS, Spec, adjusted, assumed_norm
from maskstack.models.volumes import volume_preprocess
from maskstack.own_code import find_function


def load_python(spec: Spec) -> LoadedModel:
    """Call a function without arguments that returns a network or a :class:`LoadedModel`.

    Args:
        spec: The name is ``module:function`` or ``path/to/file.py:function``. If the function returns a network, the
            keys ``size`` (224 by default), ``norm`` (ImageNet's by default), ``mean``, ``std`` and ``channels``
            describe its input; with the flag ``volume``, so do ``depth``, ``size``, ``channels``, ``mean`` and ``std``,
            see :class:`maskstack.models.volumes.VolumePreprocess`.

    Raises:
        InputError: The module cannot be imported or does not have the function.
        ModelError: The function fails or returns something else.
    """
    function = find_function(spec.name)
    try:
        result = function()
    # The user's own code may raise any error.
    except Exception as error:
        raise ModelError(
            f"{spec.name} failed with {type(error).__name__}: {error}; it must run without arguments"
        ) from error
    if isinstance(result, LoadedModel):
        keys = sorted(spec.options.keys() & {*PICTURE_KEYS, "channels"})
        if keys:
            raise InputError(f"{spec.name} has its own preprocessing; leave out {', '.join(keys)}")
        return replace(result, spec=spec.text)
    if isinstance(result, nn.Module) and "volume" in spec.flags:
        return loaded_for_volumes(result, volume_preprocess(spec.options), spec=spec.text, weights=spec.name)
    if "depth" in spec.options:
        raise InputError(f"depth is for networks that take volumes; add the flag: {spec.text},volume")
    if isinstance(result, nn.Module):
        preprocess, assumed = adjusted(Preprocess(), spec.options), assumed_norm(spec.options)
        return loaded(result, preprocess, spec=spec.text, weights=spec.name, assumed=assumed)
    raise ModelError(f"{spec.name} returned {a_type(result)}; return a torch.nn.Module or a LoadedModel")
