"""Ways in for people: the ``timecoin-cli`` command."""
