"""What is wrong with the data: findings over manifests and the images they name."""

from dermdata.audit.finding import Finding

__all__ = ["Finding"]
