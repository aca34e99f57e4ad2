"""The secrets of a bundle: those it makes, those the operator provides, and the authority."""
