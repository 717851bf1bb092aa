"""Where each result comes from: what it was made from, by which code, when and on which machine."""
