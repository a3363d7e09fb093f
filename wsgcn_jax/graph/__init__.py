"""The graph of one photo: its affinities, its Laplacian, the walk on it."""
