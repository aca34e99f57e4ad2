"""What the tests of the double put around it: an origin, an authority, a visitor."""
