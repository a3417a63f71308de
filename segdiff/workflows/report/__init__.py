"""A page to look at results with: predictions, an evaluation or a training in, one HTML file out."""
