"""``timecoin-cli soak``: watches a network for as long as wanted, and tells what went wrong."""
