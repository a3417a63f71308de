"""Predicting on many machines by Dask (segdiff[cluster]): workers share a disk, and hand back receipts alone."""
