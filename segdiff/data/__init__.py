"""Reading and writing images and masks, data sets, scoring protocols, augmentation; no networks."""
