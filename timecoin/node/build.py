"""Builds one node: the same call under the reactor and in the simulator."""

from __future__ import annotations

from timecoin.node.node import Node, NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.node.wiring import wire


def build_node(settings: NodeSettings, runtime: Runtime) -> Node:
    """A node ready to start; ``StoreError`` when the store belongs to something else."""
    node = Node(settings, runtime)
    wire(node, runtime.network)
    return node
