"""Arrays that other programs wrote, read a part at a time; nothing is ever unpickled."""
