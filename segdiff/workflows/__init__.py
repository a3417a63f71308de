"""Files in, files or scores out."""
