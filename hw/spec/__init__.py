"""The contract of s2nn: configuration, layouts, formats and integer semantics, each written down once."""
