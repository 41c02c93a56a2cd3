"""``timecoin-cli demo``: three real validators pay, finalize, crash and recover."""
