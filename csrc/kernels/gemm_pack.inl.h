// Rearranges a block of a matrix into a panel that the inner kernels read in order of addresses. Start at pack. Any
// strides are accepted: rows are copied, columns are transposed in registers, one square at a time.

namespace gemm {

// Memory for some elements, and for the vector that packing may write past them.
template <class T> static std::size_t panel_bytes(std::int64_t elements) {
  return static_cast<std::size_t>(elements) * sizeof(T) + kVecBytes;
}
template <class T> static T* scratch_for(Scratch slot, std::int64_t elements) {
  return static_cast<T*>(scratch(slot, panel_bytes<T>(elements)));
}

template <class T> static Panels panels_for(Scratch slot, const T* from, const PanelKey& key, std::int64_t elements) {
  return {slot, from, key, panel_bytes<T>(elements)};
}

// The same, filled by `fill` unless they are kept from a call before.
template <class T, class F>
static T* panels_of(Scratch slot, const T* from, const PanelKey& key, std::int64_t elements, F&& fill) {
  Panels panels = panels_for(slot, from, key, elements);
  T* to = static_cast<T*>(panels.at());
  if (!panels.packed()) {
    fill(to);
    panels.keep();
  }
  return to;
}

// What to pack: to[p * ld + i] = from[i * lane + p * step], i < count, p < depth.
template <class T> struct Strip {
  T* to;
  std::int64_t ld;
  const T* from;
  std::int64_t lane, step, count, depth;
  bool exact = false;  // store `count` lanes; else whole vectors, which is faster: beyond them zeros or a lane again

  Strip lanes_from(std::int64_t i, std::int64_t some) const {
    return {to + i, ld, from + i * lane, lane, step, some, depth, exact};
  }
  void put(std::int64_t p, std::int64_t i, Vec<T> x, std::int64_t some) const {
    exact ? store_part(to + p * ld + i, x, Part<T>(some)) : store(to + p * ld + i, x);
  }
};

template <class T> static void pack_copied(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; ++p)
    for (std::int64_t i = 0; i < s.count; i += lanes<T>) {
      const T* from = s.from + p * s.step + i;
      const std::int64_t some = s.count - i;
      __builtin_prefetch(from + rows_ahead * s.step);
      s.put(p, i, some < lanes<T> ? load_part(from, Part<T>(some)) : load(from), some < lanes<T> ? some : lanes<T>);
    }
}

// A vector of steps of pack_transposed, and what is left of them. With fewer lanes the last one is read again.
template <class T> STEEP_INLINE void transpose_square(const Strip<T>& s, std::int64_t p) {
  Vec<T> x[lanes<T>];
  load_transposed(
      x, STEEP_EACH(i) {
        const T* row = s.from + least(i, s.count - 1) * s.lane + p;
        __builtin_prefetch(row + steps_ahead, 0, 2);
        return row;
      });
  repeat<lanes<T>>(STEEP_EACH(i) { s.put(p + i, 0, x[i], s.count); });
}
template <class T> static void transpose_rest(const Strip<T>& s, std::int64_t p) {
  const Part<T> part(s.depth - p);
  Vec<T> x[lanes<T>] = {};
  for (std::int64_t i = 0; i < s.count; ++i) x[i] = load_part(s.from + i * s.lane + p, part);
  transpose<T>(x);
  for (std::int64_t i = 0; i < s.depth - p; ++i) s.put(p + i, 0, x[i], s.count);
}

template <class T> static void pack_transposed(const Strip<T>& s) {
  std::int64_t p = 0;
  for (; p + lanes<T> <= s.depth; p += lanes<T>) transpose_square(s, p);
  if (p < s.depth) transpose_rest(s, p);
}

template <class T> static void pack_gathered(const Strip<T>& s) {
  for (std::int64_t p = 0; p < s.depth; ++p) {
    T row[lanes<T>] = {};
    for (std::int64_t i = 0; i < s.count; ++i) row[i] = s.from[i * s.lane + p * s.step];
    s.put(p, 0, load(row), s.count);
  }
}

// A vector stored past the end of its row falls on lanes of later rows that are still to be written, because rows are
// written in order, a row's lanes in order or else the last lanes of all rows first; so the panel needs space for one
// more vector past its end.
template <class T> static void pack(const Strip<T>& s) {
  if (s.lane == 1) return pack_copied(s);
  for (std::int64_t i = (s.count - 1) / lanes<T> * lanes<T>; i >= 0; i -= lanes<T>) {
    const Strip<T> strip = s.lanes_from(i, s.count - i < lanes<T> ? s.count - i : lanes<T>);
    s.step == 1 ? pack_transposed(strip) : pack_gathered(strip);
  }
}

template <class T> static void transposed_copy(const void* from, std::int64_t step, void* to, std::int64_t ld,
                                               std::int64_t count, std::int64_t depth) {
  pack(Strip<T>{static_cast<T*>(to), ld, static_cast<const T*>(from), step, 1, count, depth, true});
}

}  // namespace gemm
