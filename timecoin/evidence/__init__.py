"""The pool of evidence: found here or heard of, kept and passed on until a block carries it."""
