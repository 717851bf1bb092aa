"""Fits on cached features, one file per method, and the choice among settings."""
