"""What the helper looks at every few minutes, and the messages about what fails."""
