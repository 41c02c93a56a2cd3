"""Makes the counting reporter known to trial.

This folder is on the path of `make test` only (PYTHONPATH), so it is never installed with the node.
"""

from __future__ import annotations

from types import SimpleNamespace

from twisted.plugin import IPlugin
from twisted.trial.itrial import IReporter
from zope.interface import directlyProvides

# Not called "summary": trial has a reporter of that name, and the first one found wins.
counting = SimpleNamespace(
    name="Counting reporter",
    module="tests.support.reporter",
    description="verbose output that ends with `N passed, N failed, N skipped`",
    longOpt="ci",
    shortOpt=None,
    klass="CountingReporter",
)
# As for trial's own plugins: what provides IReporter is the class that the plugin names.
directlyProvides(counting, IPlugin, IReporter)
