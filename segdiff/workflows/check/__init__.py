"""A look at a data set before an hour is spent on it."""
