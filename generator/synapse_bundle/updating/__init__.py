"""New images and packages for a running server, with a way back."""
