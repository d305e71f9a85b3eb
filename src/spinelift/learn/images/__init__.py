"""Operations on batches of images in torch, shared by all augmentations."""
