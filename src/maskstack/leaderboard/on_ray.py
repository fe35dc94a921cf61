"""The engine for many processes and machines: the same tasks on Ray actors.

Each actor has a worker that keeps its networks, and a few tasks at a time. Each measured map returns at once to the one
process that writes them. The unfinished maps of a lost actor are repeated by another actor.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from maskstack.allocator import keep_large_blocks
from maskstack.errors import MaskstackError, quiet, require
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import ImageTask, MeasuredMap, Worker, failed_map

IN_FLIGHT = 3
"""Tasks of an actor at a time: one to work on, and others so that it need not wait for the next one."""

MOST_LOSSES = 3
"""How many actors may be lost while they work on a task; its maps then count as failed."""


@dataclass(frozen=True)
class Cluster:
    """Where the actors run.

    Attributes:
        address: Address of a running Ray cluster; None for this machine, where the run starts and stops Ray.
        workers: Number of actors.
        cpus: Number of processors of each actor; also its number of threads.
        gpus: Number of GPUs of each actor, possibly a fraction.
    """

    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float = 0


def work_on_ray(tasks: Sequence[ImageTask], worker: Worker, *, cluster: Cluster) -> Iterator[MeasuredMap]:
    """Work on the tasks with Ray actors, and yield each map as soon as it has returned.

    Every machine of the cluster must have the data and the networks' files under the same paths.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    ray = require("ray", extra="ray")
    if not tasks:
        return
    started = not ray.is_initialized()
    # Ray logs only errors; the caller reports the progress.
    with quiet("ray", "ray._private"):
        if started:
            ray.init(address=cluster.address or "local", log_to_driver=False, logging_level=logging.ERROR)
        actors = _Actors(ray, worker, cluster, min(cluster.workers, len(tasks)))
        try:
            yield from actors.work(tasks)
        finally:
            actors.end()
            if started:
                ray.shutdown()


@dataclass
class _Sent:
    """A task that an actor has: what is missing of it, and how many actors were lost while they worked on it."""

    task: ImageTask
    losses: int = 0


@dataclass
class _Hired:
    """An actor with its tasks by the streams of their maps, in the order in which it works on them."""

    handle: Any
    sent: dict[Any, _Sent] = field(default_factory=dict)


class _Actors:
    """The actors of a run.

    Args:
        ray: The module.
        worker: What works here; the actors' networks must have the same weights as its own.
        cluster: Where the actors run.
        count: Number of actors.
    """

    def __init__(self, ray: Any, worker: Worker, cluster: Cluster, count: int) -> None:
        self._ray, self._cluster = ray, cluster
        self._request, self._weights = worker.request, worker.weights()
        self._make = ray.remote(_Actor).options(num_cpus=cluster.cpus, num_gpus=cluster.gpus or None)
        self._starting: dict[Any, Any] = {}
        self._hired: list[_Hired] = []
        self._again: deque[_Sent] = deque()
        self._unfinished = self._not_started = 0
        for _ in range(count):
            self._hire()

    def work(self, tasks: Sequence[ImageTask]) -> Iterator[MeasuredMap]:
        """The maps of all tasks."""
        waiting = (_Sent(tasks[number]) for number in range(len(tasks)))
        self._unfinished = len(tasks)
        while self._unfinished:
            self._send(waiting)
            streams = {stream: hired for hired in self._hired for stream in hired.sent}
            ready, _ = self._ray.wait([*self._starting, *streams], num_returns=1)
            for each in ready:
                if each in self._starting:
                    self._start(each)
                else:
                    yield from self._receive(each, streams[each])

    def end(self) -> None:
        """End all actors."""
        for actor in [*self._starting.values(), *(hired.handle for hired in self._hired)]:
            self._ray.kill(actor)

    def _hire(self) -> None:
        actor = self._make.remote(self._request, self._weights, max(1, int(self._cluster.cpus)))
        self._starting[actor.ready.remote()] = actor

    def _start(self, ready: Any) -> None:
        """Note that an actor has started; one that was lost before is replaced, unless none can be started."""
        actor = self._starting.pop(ready)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayTaskError as error:
            _raise_sentence(error)
            raise
        except self._ray.exceptions.RayError:
            self._not_started += 1
            if self._not_started >= MOST_LOSSES * self._cluster.workers:
                raise
            self._hire()
        else:
            self._not_started = 0
            self._hired.append(_Hired(actor))

    def _send(self, waiting: Iterator[_Sent]) -> None:
        """Give the actors tasks, first those of lost actors."""
        for place in range(IN_FLIGHT):
            for hired in self._hired:
                if len(hired.sent) <= place:
                    task = self._again.popleft() if self._again else next(waiting, None)
                    if task is None:
                        return
                    stream = hired.handle.work.options(num_returns="streaming").remote(task.task)
                    hired.sent[stream] = task

    def _receive(self, stream: Any, hired: _Hired) -> Iterator[MeasuredMap]:
        """The next map of a task; none if the task is finished or its actor was lost."""
        if stream not in hired.sent:  # its actor was lost a moment ago
            return
        sent = hired.sent[stream]
        errors = self._ray.exceptions
        try:
            found: MeasuredMap = self._ray.get(next(stream))
        except StopIteration:
            del hired.sent[stream]
            self._unfinished -= 1
        except errors.RayTaskError as error:
            _raise_sentence(error)
            raise
        except errors.RayError:
            yield from self._lose(hired)
        else:
            missing = {method: groups for method, groups in sent.task.groups.items() if method != found.method}
            hired.sent[stream] = replace(sent, task=replace(sent.task, groups=missing))
            yield found

    def _lose(self, hired: _Hired) -> Iterator[MeasuredMap]:
        """Replace an actor. What is missing of its tasks is repeated; a task that ends every actor fails."""
        self._hired.remove(hired)
        self._ray.kill(hired.handle)
        self._hire()
        left = [sent for sent in hired.sent.values() if sent.task.groups]
        self._unfinished -= len(hired.sent) - len(left)
        hired.sent.clear()
        if left:
            left[0].losses += 1
            if left[0].losses >= MOST_LOSSES:
                task = left.pop(0).task
                self._unfinished -= 1
                why = f"worker: {MOST_LOSSES} processes ended while they worked on the image"
                for method, groups in task.groups.items():
                    yield failed_map(task, method, groups, why)
        self._again.extend(left)


def _raise_sentence(error: Any) -> None:
    """Raise what the user can correct, if that is what went wrong in an actor, without Ray's traceback."""
    if isinstance(error.cause, MaskstackError):
        raise error.cause from error


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, request: BenchRequest, weights: Mapping[str, str], threads: int) -> None:
        torch.set_num_threads(threads)
        keep_large_blocks()
        self.worker = Worker(request, weights)

    def ready(self) -> None:
        """Answers when the process has started."""

    def work(self, task: ImageTask) -> Iterator[MeasuredMap]:
        """The maps of a task, each as soon as it is measured."""
        yield from self.worker(task)
