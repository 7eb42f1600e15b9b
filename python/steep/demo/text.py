"""The text of the demo's page; ``report.py`` inserts the figures."""

from __future__ import annotations

TITLE = "What activates a neuron?"

LEAD = """A small network learns to read digits. Then the same gradients that trained it are applied to its input:
feature visualization of each class, saliency maps of its predictions, and an adversarial example."""

TRAINING = """{note}. A network of {layers} units with ReLUs learns from them by stochastic gradient descent with
momentum {momentum}, batch size {batch_size}, for {epochs} epochs. Each batch is {augmentation}, so that the network
relies on strokes rather than single pixels. Its accuracy is {train_accuracy} on the training digits and {test_accuracy}
on the test digits. The curve is its loss by epoch (logarithmic)."""

CLASSES = """Training updates the weights for fixed images. Here the weights are fixed and the image is optimised:
starting from noise, {ascent_steps} steps of gradient ascent increase one class's score and its margin over the others.
The result is not a digit that anyone wrote, but the input with the highest score for the class. Penalties on the sum of
squares ({l2}) and on differences between neighbours ({total_variation}), and a blur of {blur} pixels, suppress
meaningless detail. Below each is its probability according to the network."""

STAGES = """The same ascent at some of its steps. The first ones find where ink belongs, the others sharpen it."""

SALIENCY = """For each test digit, the absolute gradient of the predicted class's
score (before the softmax) with respect to every pixel. The prediction depends most on bright
pixels: a small change there changes the score most. Each map is scaled to its own largest value."""

ATTACK = """The same gradient yields adversarial examples. No pixel may change by more than {eps} on a scale from
0 to 1; within that bound, {attack_steps} steps of projected gradient ascent raise the loss of the true class. The
change is drawn in blue where it darkens and in red where it brightens. Of {tried} digits attacked, {hits} that were
correctly classified are misclassified
afterwards, which is evaluated by predicting again. The first of them is shown."""

SETTINGS = """Made by <code>steep demo --seed {seed}</code>. The same settings give the same images, byte for byte,
on any number of threads."""
