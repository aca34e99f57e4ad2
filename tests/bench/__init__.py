"""Measures the product's speed and memory as ratios, side by side with a reference in one run."""
