"""Parts of COCO data sets, patches of DOTA, and downloads. Import the module of what is wanted."""
