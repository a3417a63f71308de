"""The version of segdiff, in the one place that the package, its records and setuptools read it from."""

__version__ = "0.2.0"
