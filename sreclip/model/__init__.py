"""Fitted models that are kept: saved as a folder, loaded without their data, used on new images."""
