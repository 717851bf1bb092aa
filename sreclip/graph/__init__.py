"""WordNet, the senses of class names, and the relation graph."""
