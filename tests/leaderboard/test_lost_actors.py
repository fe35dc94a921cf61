"""Which maps the engine on Ray repeats when actors are lost, with a stand-in for Ray whose actors end when told to."""

from collections import Counter
from types import SimpleNamespace

import pytest

from maskstack.errors import ModelError
from maskstack.leaderboard import on_ray
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.work import ImageTask, MeasuredMap
from maskstack.runs.rows import FAILED, ResultRow

WEIGHTS = {"net": "digest"}


class Handle(SimpleNamespace):
    """A namespace that is itself, as Ray's handles and references are."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Ended(BaseException):
    """The process of an actor ends."""


class RayError(Exception):
    pass


class RayTaskError(RayError):
    """Says with a traceback what was raised in an actor, which is its cause."""

    def __init__(self, cause):
        super().__init__(f"Traceback of an actor: {cause}")
        self.cause = cause


class Stream:
    """The maps of a task, or the loss of its actor."""

    def __init__(self, actor, task):
        self.actor, self.found = actor, actor.worker(task)

    def __next__(self):
        if self.actor.lost:
            return RayError()
        try:
            return next(self.found)
        except Ended:
            self.actor.lost = True
            return RayError()
        except (ValueError, RuntimeError) as error:
            return RayTaskError(error)


class FakeRay:
    """Actors in this process; each works on its first task only."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, worker, starts=lambda number: True):
        self.worker, self.starts, self.actors, self.most = worker, starts, [], 0

    def is_initialized(self):
        return True

    def remote(self, _actor):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.hire))

    def hire(self, _request, weights, _threads):
        assert weights == WEIGHTS
        actor = Handle(worker=self.worker, lost=False, tasks=[])
        answer = None if self.starts(len(self.actors)) else RayError("it cannot start")
        actor.ready = Handle(remote=lambda: Handle(answer=answer))

        def send(task):
            actor.tasks.append(Stream(actor, task))
            return actor.tasks[-1]

        actor.work = Handle(options=lambda **_: Handle(remote=send))
        self.actors.append(actor)
        return actor

    def wait(self, waiting, num_returns):
        assert num_returns == 1
        for actor in self.actors:
            own = [each for each in waiting if isinstance(each, Stream) and each.actor is actor]
            self.most = max(self.most, len(own))
        first = {}
        for each in waiting:
            if not isinstance(each, Stream) or first.setdefault(id(each.actor), each) is each:
                return [each], []
        raise AssertionError("nothing would ever be ready")

    def get(self, found):
        found = getattr(found, "answer", found)
        if isinstance(found, Exception):
            raise found
        return found

    def kill(self, actor):
        actor.lost = True


def work(monkeypatch, worker, *, tasks=12, workers=2, **options):
    ray = FakeRay(worker, **options)
    monkeypatch.setattr(on_ray, "require", lambda *_, **__: ray)
    given = [ImageTask("net", f"{number}", {"mdm": ("a", "b"), "rise": ("a",)}) for number in range(tasks)]
    here = SimpleNamespace(request=None, weights=lambda: WEIGHTS)
    found = list(work_on_ray(given, here, cluster=Cluster(workers=workers)))
    counted = Counter((each.method, each.image) for each in found)
    assert counted == {(method, f"{number}"): 1 for number in range(tasks) for method in ("mdm", "rise")}
    return found, ray


def measured(task, method):
    rows = tuple(ResultRow(task.model, method, task.image, group, "gini", 0.5) for group in task.groups[method])
    return MeasuredMap(task.model, method, task.image, rows)


def ending(when):
    """A worker whose process ends before a map if ``when(image, method, number of tries)``."""
    tries = Counter()

    def worker(task):
        for method in task.groups:
            tries[task.image, method] += 1
            if when(task.image, method, tries[task.image, method]):
                raise Ended
            yield measured(task, method)

    return worker


def test_each_map_comes_once_and_an_actor_has_few_tasks(monkeypatch):
    found, ray = work(monkeypatch, ending(lambda *_: False))
    assert len(ray.actors) == 2
    assert not any(row.metric == FAILED for each in found for row in each.rows)
    assert ray.most <= on_ray.IN_FLIGHT


@pytest.mark.parametrize("method", ["mdm", "rise"])
def test_the_maps_of_lost_actors_are_repeated_by_others(monkeypatch, method):
    lost = {("3", method), ("4", method), ("11", method)}
    found, ray = work(monkeypatch, ending(lambda image, own, tries: (image, own) in lost and tries == 1))
    assert len(ray.actors) == 2 + 3
    assert not any(row.metric == FAILED for each in found for row in each.rows)


def test_an_image_that_ends_every_process_fails_and_the_others_do_not(monkeypatch):
    found, ray = work(monkeypatch, ending(lambda image, method, _: image == "5" and method == "rise"))
    failed = [(row.image, row.method, row.group) for each in found for row in each.rows if row.metric == FAILED]
    assert failed == [("5", "rise", "a")]
    assert len(ray.actors) == 2 + on_ray.MOST_LOSSES


def test_an_error_of_a_worker_is_the_callers(monkeypatch):
    def broken(task):
        raise ValueError("no such network")
        yield

    with pytest.raises(RayTaskError, match="Traceback of an actor: no such network"):
        work(monkeypatch, broken)


def test_what_the_user_can_correct_comes_without_a_traceback(monkeypatch):
    def broken(task):
        raise ModelError("the network has other weights")
        yield

    with pytest.raises(ModelError, match=r"^the network has other weights$"):
        work(monkeypatch, broken)


def test_actors_that_never_start_end_the_run(monkeypatch):
    with pytest.raises(RayError, match="cannot start"):
        work(monkeypatch, ending(lambda *_: False), starts=lambda number: False)
