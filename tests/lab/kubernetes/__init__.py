"""A Kubernetes node for a machine that has none: real programs in namespaces of their own.

``python3 -m tests.lab kubernetes up`` starts it, ``env`` prints the shell line that points kubectl
at it, ``load IMAGE…`` carries images over from the engine, ``down`` ends it. It needs Debian, root,
an engine, and the archive of Kubernetes' programs that SYNAPSE_BUNDLE_KUBERNETES names.
"""
