"""A Synapse that no bundle made, and how it becomes this one."""
