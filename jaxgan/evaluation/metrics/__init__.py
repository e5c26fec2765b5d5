"""Metrics: pure functions on arrays of features, one file each."""
