"""What a trained model says of the labels that it was trained on."""
