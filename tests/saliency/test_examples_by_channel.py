"""The top examples of all channels of a layer, from one pass over the data."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp


@pytest.mark.parametrize("shape", [(12, 3), (12, 3, 5), (12, 3, 4, 5)])
def test_each_channel_has_what_top_k_gives_for_it(shape):
    values = np.random.default_rng(0).integers(0, 6, shape).astype(np.float32)  # with ties
    found = sp.saliency.top_k_by_channel(values, lambda x: sp.asarray(x), k=4, batch_size=5)
    assert len(found) == 3
    for channel, top in enumerate(found):
        alone = sp.saliency.top_k(values, lambda x, c=channel: sp.asarray(x)[:, c], k=4)
        for name in ("indices", "values", "positions"):
            assert np.array_equal(getattr(top, name), getattr(alone, name)), name


def test_an_empty_data_set_is_refused_by_name():
    with pytest.raises(ValueError, match="top_k_by_channel: k, batch_size and samples"):
        sp.saliency.top_k_by_channel(np.zeros((0, 2)), lambda x: x)
