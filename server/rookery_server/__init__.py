"""Rookery: the data plane of a microblog."""
