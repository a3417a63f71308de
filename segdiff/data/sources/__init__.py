"""Image sources: images of any size and container, read window by window."""
