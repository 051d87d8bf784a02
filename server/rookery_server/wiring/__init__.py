"""The composition root: the only place that picks adapters and builds processes from their parts."""
