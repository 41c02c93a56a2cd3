"""Composition: the only place that knows everything; ``build`` makes a node."""
