"""The words of the demo's page; ``report.py`` fills in the figures."""

from __future__ import annotations

TITLE = "What excites a neuron?"

LEAD = """A small network learns to read digits. Then the same gradients that trained it are turned on its input: to
show what each class looks for, what an answer depends on, and how little it takes to change it."""

TRAINING = """{note}. A network of {layers} units with ReLUs learns from them by stochastic gradient descent with
momentum {momentum}, {batch_size} digits a step, for {epochs} rounds. Each batch is {augmentation}, so that the network
heeds strokes rather than single pixels. It ends at {train_accuracy} on the digits it has seen and {test_accuracy} on
those it has not. The curve is its loss, round by round (logarithmic)."""

CLASSES = """Training moves the weights while the pictures stay. Here the weights are held and the picture moves: it
begins as noise and climbs, for {ascent_steps} steps, the gradient of one class's score and of its lead over the
others. The picture the network likes best is not a digit that anyone wrote; it is what the network takes for the
essence of one. Penalties on the sum of squares ({l2}) and on differences between neighbours ({total_variation}), and
a blur of {blur} pixels, keep it from filling up with meaningless detail. Below each is the probability that the
network gives it."""

STAGES = """The same ascent at a few of its steps. The first ones find where ink belongs, the rest sharpen it."""

SALIENCY = """For each test digit, the gradient of the winning class's score (before the softmax) by every pixel,
without its sign. Bright pixels are those on which the answer depends most: a small change there changes the score
most. Each map is scaled to its own largest value."""

ATTACK = """The same gradient can be used against the network. No pixel may change by more than {eps} on a scale from
0 to 1; within that bound, {attack_steps} steps of projected gradient ascent raise the loss of the true class. The
change is drawn in blue where it darkens and in red where it brightens. Of {tried} digits attacked, {hits} that were
read rightly are read wrongly afterwards; each verdict comes from predicting again. The first of them is shown."""

SETTINGS = """Made by <code>steep demo --seed {seed}</code>. The same settings give the same pictures, byte for byte,
on any number of threads."""
