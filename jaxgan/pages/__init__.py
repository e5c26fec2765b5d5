"""Pages of a run: a report in one file, and a local page to explore its generator."""
