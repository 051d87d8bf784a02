"""The Rookery client."""
