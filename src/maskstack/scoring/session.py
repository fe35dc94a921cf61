"""The one way to run a network: check it, add the objective, count passes and seconds, and restore it afterwards."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.batches import Batches
from maskstack.defaults import usual_defaults
from maskstack.errors import InputError, ModelError
from maskstack.objectives import Meaning, Objective, Reading
from maskstack.objectives.objective import class_rows
from maskstack.objectives.origins import Origins, can_observe, observed
from maskstack.objectives.recognise import Output, recognise
from maskstack.scoring.failures import Given, readable, watched
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.randomness import RandomStream, accelerators
from maskstack.scoring.reach import Reach
from maskstack.scoring.row_check import check_rows
from maskstack.scoring.untouched import device_of, untouched
from maskstack.scoring.user_model import Goal, Model, UserModel
from maskstack.version import __version__


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
    precision: str = "fp32",
    channels_last: bool = True,
    fold: bool = False,
    compile: bool = False,  # noqa: A002
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
        precision: ``fp32``, or ``bf16`` for autocast around the network.
        channels_last: Give the network images in the channels-last memory format.
        fold: Run a private view of the network with its batch norms folded, where its output agrees.
        compile: Run the network through ``torch.compile``; excludes folding.
        seed: Seed of the random numbers that the network draws itself, such as those of dropout that is always on.

    Raises:
        InputError: The images, the target or the rows of a further argument cannot be used.
        ModelError: The network failed, in any pass inside the context, or its output does not fit the objective.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
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
        moved = images.detach().to(device_of(model.model, images))
        prepared = PreparedModel(
            model.model,
            found=found,
            arguments=model.arguments.bind(len(images), moved.device),
            stream=RandomStream(seed, accelerators([moved.device])),
            dtype=images.dtype,
            precision=precision,
            channels_last=channels_last,
            fold=fold,
            compile=compile,
        )
        bound, further = _bind(prepared, moved, objective, model, found, batch_size=batch_size)
        scored = ScoredModel(prepared, bound, moved.float(), model, batch_size=batch_size, started=started)
        scored.forward_passes[len(images) - 1] += further
        yield scored


class ScoredModel(nn.Module):
    """Maps images, and the index of the original of each, to one score per image; made by :func:`scoring`.

    Other libraries' methods can use it like any network with a single output, with any objective. The user's network
    is a submodule, so these methods can find and hook its layers.

    Args:
        prepared: The user's network.
        objective: Bound to the batch of B images.
        images: The batch, B x C x H x W, float32, on the network's device.
        user_model: What the user handed over.
        batch_size: Maximum number of images in one pass.
        started: When the work on the batch began, by ``time.perf_counter``.

    Attributes:
        forward_passes: Images sent forward for each of the B images, the prediction included.
        backward_passes: Images sent backward for each of them.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        objective: Objective,
        images: Tensor,
        user_model: UserModel,
        *,
        batch_size: int,
        started: float,
    ) -> None:
        super().__init__()
        self.prepared, self.objective, self.images = prepared, objective, images
        self.user_model, self.batch_size, self.started = user_model, batch_size, started
        # Registered, so that named_modules() and target layers reach into it.
        self.inner = prepared.model if isinstance(prepared.model, nn.Module) else None
        self.forward_passes = torch.ones(len(images), dtype=torch.int64, device=images.device)
        self.backward_passes = torch.zeros_like(self.forward_passes)
        self._row: int | None = None
        self.training = False

    def train(self, mode: bool = True) -> ScoredModel:  # noqa: ARG002
        """Do nothing: the network stays in evaluation mode, and exported programs raise an error on this call."""
        return self

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Score images.

        Args:
            images: N x C x H x W.
            rows: Index of the image that each was made from, N. If None, the images are the batch itself, or all are
                made from the image set by :meth:`only`.

        Returns:
            Scores, N.
        """
        rows = self._rows(len(images)) if rows is None else rows.to(self.images.device)
        output = self.output(images, rows)
        with watched(lambda: Given(tuple(images.shape), images.dtype, objective=self.objective.name)):
            scores = self.objective.select(rows)(output)
        if scores.requires_grad:
            scores = _CountBackward.apply(scores, lambda: self._count(self.backward_passes, rows))
        return scores

    def output(self, images: Tensor, rows: Tensor) -> Any:
        """The network's output for images, which are counted."""
        output = self.prepared(images, rows)
        self._count(self.forward_passes, rows)
        for _ in range(self.prepared.runs_lost):  # through a folded view that was given up
            self._count(self.forward_passes, rows)
        self.prepared.runs_lost = 0
        if self.prepared.extra_images:  # the folded view was compared with the network on the batch's first image
            self.forward_passes[0] += self.prepared.extra_images
            self.prepared.extra_images = 0
        return output

    @contextmanager
    def only(self, row: int) -> Iterator[None]:
        """Inside the context, images given without ``rows`` count as made from this one."""
        self._row = row
        try:
            yield
        finally:
            self._row = None

    @torch.no_grad()
    def scores(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Scores without gradient, in batches: N."""
        rows = self._rows(len(images)) if rows is None else rows.to(images.device)
        every = torch.arange(len(images), device=images.device)
        return torch.cat(Batches(self.batch_size).run(every, lambda chunk: self(images[chunk], rows[chunk])))

    def record(self) -> dict[str, Any]:
        """The record of how an explanation was made: objective, targets, passes, seconds and versions."""
        targets, reading = self.objective.targets, self.objective.reading
        return {
            "objective": self.objective.name,
            "output": "" if reading is None else reading.words(),
            "output_doubt": self.objective.output_doubt(),
            "target": None if targets is None else tuple(targets),
            "target_name": self.user_model.names(targets),
            "forward_passes": self.forward_passes.clone(),
            "backward_passes": self.backward_passes.clone(),
            "seconds": time.perf_counter() - self.started,
            "versions": {
                "maskstack": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "device": self.images.device.type,
            },
            "passes_run": self.prepared.how,
        }

    def _rows(self, count: int) -> Tensor:
        if self._row is None:
            return torch.arange(count, device=self.images.device)
        return torch.full((count,), self._row, device=self.images.device)

    def _count(self, passes: Tensor, rows: Tensor) -> None:
        # Added up on the device: reading the rows on the CPU would synchronise the GPU at every step.
        passes.index_add_(0, rows, torch.ones_like(rows))


class _CountBackward(torch.autograd.Function):
    """Returns the scores unchanged; calls a function when a gradient passes back through them."""

    @staticmethod
    def forward(context: Any, scores: Tensor, tell: Callable[[], None]) -> Tensor:
        context.tell = tell
        return scores.view_as(scores)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        context.tell()
        return gradient, None


def check_images(images: Any) -> None:
    """Check that images can be explained.

    Raises:
        InputError: They are not a tensor B x C x H x W or B x C x D x H x W of finite floating-point numbers.
        ModelError: Autograd is switched off by inference mode.
    """
    if torch.is_inference_mode_enabled():
        raise ModelError("masks are learned by gradients, which torch.inference_mode() forbids; call outside of it")
    if not isinstance(images, Tensor):
        raise InputError(f"images must be a tensor B x C x H x W, not a {type(images).__name__}")
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
    if not images.is_floating_point():
        raise InputError(
            f"images are {str(images.dtype).removeprefix('torch.')}; give floating-point numbers, normalised as the "
            "network was trained"
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
        further = check_rows(prepared, images, outputs[-1], found)
    if objective.of_class is None:
        return objective.bind(outputs[0], len(images), reading), further
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
    try:
        return outputs, recognise(
            outputs,
            origins=origins,
            model=user_model.model,
            choice=user_model.output,
            names=len(user_model.class_names),
        )
    except ModelError:
        if needed:
            raise
        return outputs, None
