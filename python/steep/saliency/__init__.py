"""Which input values does a score depend on? Maps of the gradient of a class score by the input."""

from steep.saliency.maps import gradient

__all__ = ["gradient"]
