"""Which actor of a cluster gets the next item."""

from rvm_client.batch.cluster import _Actor, _places
from rvm_client.batch.cluster_actor import Ready
from rvm_client.wire import Variant


def actor(name: str, busy: int, at_once: int | None = 2) -> _Actor:
    ready = None if at_once is None else Ready({Variant.MOBILENETV3: "1"}, at_once)
    return _Actor(None, name, ready, busy)


def test_who_has_nothing_to_do_comes_before_who_could_do_more() -> None:
    actors = [actor("one", 1), actor("none", 0), actor("starting", 0, None), actor("idle", 0)]
    assert [place.node_id for place in _places(actors)] == ["none", "idle", "one", "none", "idle"]


def test_who_is_full_gets_nothing() -> None:
    assert _places([actor("full", 2), actor("overfull", 3)]) == []
