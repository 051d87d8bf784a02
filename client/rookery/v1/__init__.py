"""Raw stubs of the `rookery.v1` API, generated from `proto/` (see `hatch_build.py`)."""
