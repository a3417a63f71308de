"""Predicting images that do not fit memory: strips on disk, objects and files made of them piece by piece."""
