"""What predicts the label without reading: PC400 to PC404, PC407."""
