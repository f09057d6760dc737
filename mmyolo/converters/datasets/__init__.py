"""Data sets in other formats to COCO JSON, and parts of data sets. Import the module of the format."""
