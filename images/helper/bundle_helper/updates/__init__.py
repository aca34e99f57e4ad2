"""What is known of newer releases: a signed list, what runs here, and what follows from both."""
