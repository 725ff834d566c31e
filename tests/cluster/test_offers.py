from dataclasses import replace

from cluster.offers import offers_for
from inventory.catalog import HeldModel
from nodes.join_wire import OffersBody
from nodes.orders import ArtifactHolder
from nodes.snapshot import NodeId
from support.cluster_facts import held, node

GIVERS = {NodeId(name): ArtifactHolder(NodeId(name), f"10.0.0.{n}", 8402) for n, name in enumerate(("a", "b", "c"))}
FROM_HUB = replace(held("qwen"), source="hf:Qwen/Qwen3")
ASKER = NodeId("asker")


def names(asked: OffersBody, *nodes: tuple[str, tuple[HeldModel, ...]]) -> list[tuple[str, str, list[str]]]:
    snapshots = [replace(node(name), models=models) for name, models in nodes]
    orders = offers_for(asked, snapshots, GIVERS, ASKER)
    return [(order.name, order.format, [holder.node for holder in order.holders]) for order in orders]


def test_everybody_who_holds_it_is_named() -> None:
    asked = OffersBody("qwen")

    assert names(asked, ("b", (FROM_HUB,)), ("a", (FROM_HUB,))) == [("qwen", "gguf", ["a", "b"])]


def test_each_format_is_an_offer_of_its_own_unless_one_is_wanted() -> None:
    mlx = held("qwen", format="mlx", version="2")
    nodes = (("a", (FROM_HUB, mlx)),)

    assert [one[1] for one in names(OffersBody("qwen"), *nodes)] == ["gguf", "mlx"]
    assert [one[1] for one in names(OffersBody("qwen", "", ("mlx",)), *nodes)] == ["mlx"]


def test_a_source_finds_its_model_under_whatever_name() -> None:
    asked = OffersBody("", "hf:Qwen/Qwen3")

    assert names(asked, ("a", (held("qwen"), FROM_HUB))) == [("qwen", "gguf", ["a"])]


def test_who_asks_or_cannot_give_is_not_named() -> None:
    assert names(OffersBody("qwen"), ("asker", (FROM_HUB,)), ("far", (FROM_HUB,))) == []
