"""Networks, and the segmenters made of them."""
