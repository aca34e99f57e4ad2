"""The long-lived process and its duties, each a process of its own."""
