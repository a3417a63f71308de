"""Training: the loop, its state, curves and validation. Needs neither Hydra nor a command line."""
