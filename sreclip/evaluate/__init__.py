"""Scores and labels in, metrics, intervals and tables out."""
