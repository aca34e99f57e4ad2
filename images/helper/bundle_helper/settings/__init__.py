"""What compose.yaml tells the helper, parsed and checked: one frozen value for each kind of process."""
