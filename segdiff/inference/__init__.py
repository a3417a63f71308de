"""An array in, a `Prediction` out: windows, their chains, and how they are blended."""
