"""The commands of `synapse-bundle`, a module for each."""
