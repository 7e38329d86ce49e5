"""Sweeps: many runs that differ in a few settings, and which of them to take."""
