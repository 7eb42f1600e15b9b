// The canvas of a convolution by bfloat16 parts: what positions of some images read, rows of 16 words that hold 32
// channels of one element, as the rows of A's tiles are read. Neighbours along a row of the image are neighbours here,
// so that one tap of 16 positions is a tile, read where it lies; what lies between two rows or images belongs to
// positions whose results are discarded. Zeros of the border that end one row and begin the next are stored once. Start
// reading at PartsCanvas.

namespace split {

// Channels [first, first + count) of a convolution, in blocks of tile_steps.
using conv::Channels;

struct PartsCanvas {
  conv::Canvas<float> one;  // of an image, with the distances of all
  const Correlation& x;     // of which the windows, the channels and the images are read
  std::int64_t image;       // elements from one image to the next

  PartsCanvas(const Correlation& correlation, std::int64_t from, std::int64_t to)
      : one(correlation.window, from, to), x(correlation) {
    const std::int64_t columns = shared(one.x, one.left, one.pitch), lines = shared(one.y, one.top, one.tall);
    one.pitch -= columns;
    one.tall -= lines;
    one.rows = one.tall;
    image = one.rows * one.pitch;
    const std::int64_t all = x.images * image, behind = lines * one.pitch + columns + panel_lanes;
    one.phase = ceil_div(all + behind, tile_steps) * tile_steps;
    one.channel = one.phase * one.y.w.step * one.x.w.step;
    one.end = one.phase - all;
  }

  // Zeros at the end of one row of `size` elements and at the beginning of the next, in every phase.
  static std::int64_t shared(const conv::Phases& d, std::int64_t begin, std::int64_t size) {
    std::int64_t least_of_all = d.longest;
    for (std::int64_t p = 0; p < d.w.step; ++p) {
      const std::int64_t first = begin * d.w.step + d.lowest + p;
      const std::int64_t before = conv::within(ceil_div(-first, d.w.step), size);
      const std::int64_t inside = conv::within(ceil_div(d.w.in - first, d.w.step), size);
      if (d.has(p)) least_of_all = least(least_of_all, least(before, size - inside));
    }
    return least_of_all;
  }
  bool has_empty_phase() const {
    bool any = false;
    one.each_phase([&](std::int64_t, std::int64_t, std::int64_t, bool has_rows) { any |= !has_rows; });
    return any;
  }

  std::int64_t part_words(std::int64_t blocks) const { return blocks * one.channel * lane_words; }

  // Distances of the tiles of all taps, for every block of channels.
  void list_distances(std::int64_t blocks, std::int64_t* to) const {
    one.list_offsets(blocks, to);
    for (std::int64_t i = 0; i < blocks * volume(x.window, &Window::taps); ++i) to[i] *= lane_words;
  }

  // One block of channels as float32, which `to` holds one after the other.
  void read_floats(std::int64_t first, std::int64_t count, float* to) {
    if (has_empty_phase()) one.clear(to, count * one.channel);
    const auto* from = static_cast<const float*>(x.image) + first * volume(x.window, &Window::in);
    const std::int64_t all = x.images * image;
    for (std::int64_t i = 0; i < x.images; ++i) {
      one.end = i + 1 < x.images ? 0 : one.phase - all;
      one.read(from + i * x.image_step, count, to + i * image, 0);
    }
  }

  // Some blocks of channels, their parts one after the other; the magnitudes of every element are added to `ranges`.
  // Returns whether any value has more than its first part. `floats` holds tile_steps * one.channel elements.
  template <int parts>
  bool read(const Channels<float>& blocks, float* floats, std::uint32_t* to, const Ranges& ranges) {
    bool rest = false;
    for (std::int64_t b = 0; b < blocks.count; ++b) {
      const std::int64_t first = (blocks.first + b) * tile_steps, count = least(tile_steps, x.channels - first);
      read_floats(first, count, floats);
      for (std::int64_t p = 0; p < one.channel; p += tile_lanes)
        rest |=
            pack_across<true, parts>({floats + p, 1, one.channel, tile_lanes}, count,
                                     to + (b * one.channel + p) * lane_words, ranges.from(p), part_words(blocks.count));
    }
    return rest;
  }
};

}  // namespace split
