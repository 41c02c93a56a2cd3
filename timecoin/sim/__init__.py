"""Many nodes, one clock: the real node under virtual time, seeded faults and checked invariants."""
