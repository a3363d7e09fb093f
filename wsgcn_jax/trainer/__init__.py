"""Training machinery shared by the classifier, the boundary network and the segmenter."""
