"""A local page on which a person labels target images."""
