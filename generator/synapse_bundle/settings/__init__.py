"""settings.yaml: every key, its meaning, its limits, and how a mistake in it is reported."""
