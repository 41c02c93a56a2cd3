"""The tests: a mirror of timecoin/, and the few that look at the whole.

Hypothesis gets one profile for all of them: no deadline, since a busy machine is not a failure, and
a fixed seed under ``CI``, so that a red run there can be repeated.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "timecoin",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("timecoin")
