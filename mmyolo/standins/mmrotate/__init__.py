"""Of mmrotate: rotated boxes, their data set, transforms, losses, coders, metric and drawing."""
