"""Of mmpose: descriptions of keypoints, their metric and drawing."""
