"""Published test vectors; each file names the document it comes from."""
