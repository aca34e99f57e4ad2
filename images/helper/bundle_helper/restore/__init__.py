"""A set becomes the server again: everything is verified first, then replaced."""
