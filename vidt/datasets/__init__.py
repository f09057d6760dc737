"""What the training images of ViDT go through."""
