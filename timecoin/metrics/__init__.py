"""What monitoring reads of a node: Prometheus metrics at ``/metrics``."""
