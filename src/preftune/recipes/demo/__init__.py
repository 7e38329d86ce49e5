"""The embedded experiment: a model of movie reviews learns to write kindly."""
