"""The API of a Kubernetes cluster, as far as the helper needs it."""
