"""``steep explore``: a network one can walk through, live in the browser.

A page on 127.0.0.1 shows the layers of a model as a map, the activations of an image, a drawing or the camera, what
excites a unit, saliency maps and attacks, each with the Python that gives the same. ``server.py`` serves it, ``web.py``
answers, ``table.py`` lists the heavy work, ``page/`` is the page. See docs/explore.md. Start reading at ``server.py``.
"""

from steep.explore.graph import Layer, layers
from steep.explore.server import Server, serve
from steep.explore.subject import Subject

__all__ = ["Layer", "Server", "Subject", "layers", "serve"]
