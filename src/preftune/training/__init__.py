"""The only writer of weights: configuration, loop, optimiser, checkpoints, metrics.

Import `preftune.training.config` for the run file (light) and `preftune.training.run` for `train`
(imports torch).
"""
