"""Twenty prompts by which drawing is measured, with the concept that each wants, fixed before anything was drawn.

Simple shapes, faces, things, animals and scenes; ``examples/twenty_prompts.py`` draws them.
"""

from __future__ import annotations

PROMPTS: tuple[tuple[str, str], ...] = (
    ("a red heart", "red heart"),
    ("a smiling face", "slightly smiling face"),
    ("a crying face", "crying face"),
    ("a house with a garden", "house with garden"),
    ("a car", "automobile"),
    ("a tree", "deciduous tree"),
    ("a slice of pizza", "pizza"),
    ("a bag of money", "money bag"),
    ("a snowflake", "snowflake"),
    ("the sun", "sun"),
    ("a crescent moon", "crescent moon"),
    ("a rainbow", "rainbow"),
    ("the face of a cat", "cat face"),
    ("a fish", "fish"),
    ("a sunflower", "sunflower"),
    ("a green apple", "green apple"),
    ("an umbrella in the rain", "umbrella with rain drops"),
    ("a soccer ball", "soccer ball"),
    ("a mountain with snow", "snow-capped mountain"),
    ("an angry face", "angry face"),
)
