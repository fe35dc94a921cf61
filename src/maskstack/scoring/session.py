"""The one way to run a network: check it, add the objective, count passes and seconds, and restore it afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from maskstack.batches import Batches, chunk_size
from maskstack.defaults import usual_defaults
from maskstack.errors import InputError, ModelError, a_type
from maskstack.objectives import Meaning, Objective, Reading
from maskstack.objectives.objective import class_rows
from maskstack.objectives.origins import Origins, can_observe, observed
from maskstack.objectives.recognise import Output, recognise
from maskstack.scoring.failures import readable
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.randomness import RandomStream, accelerators
from maskstack.scoring.reach import Reach
from maskstack.scoring.row_check import check_alone, check_objective, check_rows
from maskstack.scoring.scored_model import ScoredModel
from maskstack.scoring.untouched import device_of, untouched
from maskstack.scoring.user_model import Goal, Model, UserModel
from maskstack.speed import Speed, way_for

LEAST_SIDE = 16
"""Least height and width of images that are said to have their channels last, rather than to be three pixels wide."""


@contextmanager
def scoring(
    model: Model | UserModel,
    images: Tensor,
    goal: Goal = None,
    *,
    meaning: Meaning = "probability",
    class_names: Sequence[str] = (),
    output: Output = None,
    batch_size: int = 32,
    speed: Speed = "auto",
    fold: bool = False,
    seed: int = 0,
) -> Iterator[ScoredModel]:
    """Run a network on a batch of images and on images derived from them.

    Inside the context, the network is in evaluation mode and its parameters are frozen; on exit it is restored, also
    after an error. On entry, one prediction checks that the network accepts the images, and sets and checks targets.

    Args:
        model: The network, what ``load_model`` returned, or a :class:`UserModel`.
        images: B x C x H x W, floating point, preprocessed for the network.
        goal: What to score: an objective, a function from the output to one number per image, a class index, one class
            index per image, or None for each image's predicted class.
        meaning: Which score of a class is explained: a name of :data:`maskstack.objectives.NAMED`.
        class_names: Names of the classes, for the record.
        output: Which output is explained, and how it is read, see :class:`maskstack.MDM`.
        batch_size: Maximum number of images in one pass.
        speed: How the passes are run, see :func:`maskstack.speed.way_for`.
        fold: Whether the speed may fold batch norms; not for what looks at the network's own modules.
        seed: Seed of the random numbers that the network draws itself, such as those of dropout that is always on.

    Raises:
        InputError: The images, the target or the rows of a further argument cannot be used.
        ModelError: The network failed, in any pass inside the context, or its output does not fit the objective.

    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    >>> with scoring(net, torch.rand(2, 3, 2, 2), 1) as scored:
    ...     scored.scores(scored.images).shape, scored.forward_passes.tolist()
    (torch.Size([2]), [2, 2])
    """
    check_images(images)
    if not isinstance(model, UserModel):
        model = UserModel.of(model, meaning=meaning, class_names=class_names, output=output)
    objective = model.objective(goal)
    started = time.perf_counter()
    with usual_defaults(), untouched(model.model) as found, readable():
        _check_weights(found)
        # A plain tensor, as those of torchvision's transforms or MONAI carry more than their values.
        moved = images.detach().as_subclass(Tensor).to(device_of(model.model, images))
        prepared = PreparedModel(
            model.model,
            found=found,
            arguments=model.arguments.bind(len(images), moved.device),
            stream=RandomStream(seed, accelerators([moved.device])),
            dtype=images.dtype,
            way=way_for(speed, moved.device.type, fold=fold),
        )
        bound, further = _bind(prepared, moved, objective, model, found, batch_size=batch_size)
        scored = ScoredModel(prepared, bound, moved.float(), model, batch_size=batch_size, started=started)
        scored.forward_passes[len(images) - 1] += further
        yield scored


def check_images(images: Any) -> None:
    """Check that images can be explained.

    Raises:
        InputError: They are not a tensor B x C x H x W or B x C x D x H x W of finite floating-point numbers, or have
            their channels last.
        ModelError: Autograd is switched off by inference mode.
    """
    if torch.is_inference_mode_enabled():
        raise ModelError("masks are learned by gradients, which torch.inference_mode() forbids; call outside of it")
    if not isinstance(images, Tensor):
        raise InputError(f"images must be a tensor B x C x H x W, not {a_type(images)}")
    if images.is_nested or images.layout is not torch.strided:
        raise InputError(
            "the images are a sparse or nested tensor; give an ordinary one, by to_dense() or to_padded_tensor()"
        )
    if images.is_meta:
        raise InputError("the images are on the meta device, where tensors have no values; move them to another device")
    if images.is_inference():
        raise ModelError("the images were made under torch.inference_mode(), which forbids gradients; clone() them")
    if images.ndim not in (4, 5):
        hint = (
            "; add the batch dimension with .unsqueeze(0), or for signals B x C x L give images.unsqueeze(2) and "
            "lambda images: model(images.squeeze(2)), with sizes such as ((1, 8), (1, 28))"
            if images.ndim == 3
            else ""
        )
        raise InputError(
            f"images have shape {tuple(images.shape)}; they must be B x C x H x W, or volumes B x C x D x H x W{hint}"
        )
    if 0 in images.shape:
        raise InputError(f"images have shape {tuple(images.shape)}; the batch is empty, give at least one image")
    if images.ndim == 4 and images.shape[3] in (1, 3) and min(images.shape[1:3]) >= LEAST_SIDE:
        raise InputError(
            f"images have shape {tuple(images.shape)}, channels last; give images.permute(0, 3, 1, 2), and for "
            "a network that takes the channels last lambda images: model(images.permute(0, 2, 3, 1))"
        )
    if not images.is_floating_point() or images.dtype.itemsize < 2:
        raise InputError(
            f"images are {str(images.dtype).removeprefix('torch.')}; give floating-point numbers, such as float32, "
            "normalised as the network was trained"
        )
    if not torch.isfinite(images).all():
        raise InputError("images hold NaN or infinite values; replace these first")


def _check_weights(found: Reach) -> None:
    """Check that the network's weights have values.

    Raises:
        ModelError: Some are on the meta device.
    """
    buffers = (buffer for module in found.modules for buffer in module._buffers.values() if buffer is not None)
    if any(tensor.is_meta for tensor in (*found.parameters, *buffers)):
        raise ModelError(
            "the network is on the meta device, where weights have no values; load its weights first, such as with "
            "model.to_empty(device='cpu') and model.load_state_dict(weights)"
        )


def _bind(
    prepared: PreparedModel,
    images: Tensor,
    objective: Objective,
    user_model: UserModel,
    found: Reach,
    *,
    batch_size: int,
) -> tuple[Objective, int]:
    """Predict once, read what the output is, and bind the objective to the batch.

    Returns:
        The objective, and how many further images were run.
    """
    outputs, reading = predict_and_read(
        prepared, images, user_model, batch_size=batch_size, needed=not objective.raw or user_model.output is not None
    )
    with torch.no_grad():
        further = check_alone(prepared, images, outputs[-1]) if batch_size > 1 else 0
        further += check_rows(prepared, images, outputs[-1], found)
    if objective.of_class is None:
        bound = objective.bind(outputs[0], len(images), reading)
        with torch.no_grad():
            check_objective(bound, outputs[0], chunk_size(len(images), batch_size))
        return bound, further
    scores = torch.cat([class_rows(output, reading) for output in outputs])
    if len(scores) != len(images):
        raise ModelError(
            f"the network gave {len(scores)} outputs for {len(images)} image{'' if len(images) == 1 else 's'}; it must "
            "give one row for each image, so keep the batch dimension: no squeeze(), and no sum or mean over it"
        )
    return objective.bind(scores, len(images), reading), further


def predict_and_read(
    prepared: PreparedModel, images: Tensor, user_model: UserModel, *, batch_size: int = 32, needed: bool = True
) -> tuple[list[Any], Reading | None]:
    """Run the network once on each image, observed, and read what its output is.

    Args:
        prepared: The network.
        images: B x C x H x W, on the network's device.
        user_model: What the user handed over.
        batch_size: Maximum number of images in one pass.
        needed: Whether an output that cannot be read is an error, rather than None.

    Raises:
        InputError: There is no such output or kind.
        ModelError: The network fails on the images, or no tensor could be found in its output.
    """
    every = torch.arange(len(images), device=images.device)
    known = None if prepared.found is None else prepared.found.modules
    origins = Origins(known) if can_observe(user_model.model) else None
    with torch.no_grad(), observed(user_model.model, origins):
        outputs = Batches(batch_size).run(every, lambda chunk: prepared.first(images[chunk], chunk))
    prepared.batch_statistics = origins is not None and origins.batch_statistics
    try:
        return outputs, recognise(
            outputs,
            origins=origins,
            model=user_model.model,
            modules=known or (),
            choice=user_model.output,
            names=len(user_model.class_names),
        )
    except ModelError:
        if needed:
            raise
        return outputs, None
