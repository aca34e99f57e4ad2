"""A bundle as one file: its folder, its images, and an index of both."""
