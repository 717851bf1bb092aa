"""Where every result lies, what its key says, and what it is made from."""
