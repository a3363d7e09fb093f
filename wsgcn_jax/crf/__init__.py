"""The dense CRF that draws labels to the edges of the photo."""
