"""The same run on a cluster of two Ray nodes, one of which dies."""

import pytest
from tests.leaderboard.runs import FEW, GROUPS, SMALL, assert_same, of_methods, table

from maskstack.leaderboard.bench import bench
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.request import BenchRequest

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="ray is not installed")


class Silent:
    def looking(self, network, images): ...
    def damaged(self, shards): ...
    def warn(self, sentence): ...
    def planned(self, plan): ...
    def finished(self, maps, rows): ...


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster as RayCluster

    nodes = RayCluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes, second
    ray.shutdown()
    nodes.shutdown()


def test_a_lost_node_changes_nothing_in_the_table(annotated, whole_run, tmp_path, cluster):
    nodes, second = cluster
    request = BenchRequest(
        models=(SMALL,),
        data=str(annotated),
        methods=tuple(FEW.split(",")),
        groups=tuple(GROUPS.split(",")),
        curve_steps=2,
    )
    lost = []

    def engine(tasks, worker):
        for found in work_on_ray(tasks, worker, cluster=Cluster(workers=2)):
            if not lost:
                nodes.remove_node(second, allow_graceful=False)
                lost.append(second)
            yield found

    outcome = bench(request, tmp_path / "run", engine=engine, listener=Silent())
    assert lost
    assert (outcome.maps, outcome.failed) == (8, 0)
    assert_same(table(tmp_path / "run"), of_methods(table(whole_run), FEW))
