"""The encoders of the image-level registration, and their training."""
