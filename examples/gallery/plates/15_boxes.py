"""Where is the object?

Boxes from the maps of a network that was trained on classes alone: from Grad-CAM by a threshold (orange), and from
guided backpropagation by a graph cut (green), beside the box drawn by hand (white).
"""

import numpy as np
from steep import data, pictures, saliency, zoo
from steep.data.boxes import cropped

model = zoo.load("squeezenet1_1")
way = model.preprocessing
colours = [(255, 255, 255), (255, 140, 0), (0, 255, 0)]
tiles, overlaps = [], []

for photo in data.boxed_photos()[:12]:
    x = way.preprocess(photo.picture)
    seen = way.to_image(x)
    drawn = cropped(photo.box, photo.picture.shape, way.size, way.margin)
    cam = np.asarray(saliency.grad_cam(model, x, "fire9", photo.label))[0]
    guided = np.asarray(saliency.guided_backprop(model, x, photo.label, signed=False, channels="max"))[0]
    boxes = saliency.box(cam), saliency.box(guided, seen, method="graph_cut")
    overlaps.append([saliency.iou(box, drawn) for box in boxes])
    for box, colour in zip([drawn, *boxes], colours, strict=True):
        seen = pictures.outlined(seen, box, colour=colour)
    tiles.append(pictures.resized(seen, 160, 160))

sheet = pictures.sheet(tiles, columns=4, gap=4)
note = "Mean intersection over union of these: {:.2f} and {:.2f}.".format(*np.mean(overlaps, axis=0))
