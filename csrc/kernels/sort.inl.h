// Sorting of integer keys, with positions beside them if asked for. Quicksort, whose partition takes a vector of keys
// at a time: those below the pivot stay at the front, the others wait in spare memory and are copied behind them, so
// equal keys keep their order (after Bramas, A novel hybrid quicksort algorithm vectorized using AVX-512, 2017, which
// partitions in place). Some vectors of keys are sorted by ranks: the rank of a key is how many come before it. Start
// reading at sort_rows, then Quicksort.

namespace sorting {

template <class E> using Key = std::conditional_t<sizeof(E) == 8, std::int64_t, std::int32_t>;

// Exchanges bits and key, the integer in the order of the floats: for negative ones all bits but the sign are inverted.
template <class K> STEEP_INLINE K ordered(K bits) { return bits ^ ((bits >> (8 * sizeof(K) - 1)) & highest<K>()); }

template <class E> static bool keys_of(const void* from, void* to, std::int64_t n, bool descending) {
  using K = Key<E>;
  const E* x = static_cast<const E*>(from);
  K* keys = static_cast<K*>(to);
  const K flip = descending ? K(-1) : K(0);
  K special = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (is_real<E>) {
      const K key = ordered(__builtin_bit_cast(K, x[i] + E(0))) ^ flip;  // -0 + 0 is 0
      keys[i] = x[i] == x[i] ? key : highest<K>();
      special |= static_cast<K>((x[i] != x[i]) | (__builtin_bit_cast(K, x[i]) == lowest<K>()));
    } else {
      keys[i] = static_cast<K>(x[i]) ^ flip;
    }
  }
  return special != 0;
}
template <class E> static void elements_of(const void* from, void* to, std::int64_t n, bool descending) {
  using K = Key<E>;
  const K* keys = static_cast<const K*>(from);
  E* x = static_cast<E*>(to);
  const K flip = descending ? K(-1) : K(0);
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (is_real<E>) x[i] = __builtin_bit_cast(E, ordered(keys[i] ^ flip));
    else x[i] = static_cast<E>(keys[i] ^ flip);
  }
}

template <class K> STEEP_INLINE Vec<K> numbers_from(int first) {
  Vec<K> r;
  for (int i = 0; i < lanes<K>; ++i) r.v[i] = static_cast<K>(first + i);
  return r;
}

// ranks[i]: how many of the keys, r vectors of them, are below the i-th or equal to it and before it. That is all
// before it, without those that are larger, and those after it that are smaller.
template <int r, class K> STEEP_INLINE void find_ranks(const K* keys, K* ranks) {
  using V = Vec<K>;
  V x[r], rank[r];
  repeat<r>(STEEP_EACH(i) {
    x[i] = load(keys + i * lanes<K>);
    rank[i] = numbers_from<K>(i * lanes<K>);
  });
  repeat<r>(STEEP_EACH(b) {
    constexpr int block = b;
    repeat<lanes<K>>(STEEP_EACH(l) {
      constexpr unsigned after = all_lanes<K> & ~((2u << l) - 1), before = (1u << l) - 1;  // of the lanes of this block
      const V key(keys[block * lanes<K> + l]);
      repeat<r>(STEEP_EACH(i) {
        constexpr int at = i;
        if constexpr (at >= block)
          rank[at] = add_where_below<-1>(rank[at], x[at], key, at > block ? all_lanes<K> : after);
        if constexpr (at <= block)
          rank[at] = add_where_below<1>(rank[at], key, x[at], at < block ? all_lanes<K> : before);
      });
    });
  });
  repeat<r>(STEEP_EACH(i) { store(ranks + i * lanes<K>, rank[i]); });
}

template <class K, bool paired> class Quicksort {
 public:
  explicit Quicksort(const Sorting& s)
      : keys_(static_cast<K*>(s.keys)),
        positions_(static_cast<K*>(s.positions)),
        spare_keys_(static_cast<K*>(s.spare_keys)),
        spare_positions_(static_cast<K*>(s.spare_positions)) {}

  // Pivots are taken from samples until these have been unlucky `depth` times over; then the middle of the range of
  // the keys is taken, which ends after as many partitions as a key has bits.
  void sort(std::int64_t first, std::int64_t n, int depth) {
    while (n > few) {
      const K pivot = depth-- > 0 ? sampled_pivot(keys_ + first, n) : middle(keys_ + first, n);
      std::int64_t below = partition(first, n, pivot);
      if (below > 0) sort(first, below, depth);
      else if (pivot == highest<K>()) return;
      else below = partition(first, n, pivot + 1);  // the pivot is the smallest key: these are equal to it
      first += below;
      n -= below;
    }
    repeat<vectors>(STEEP_EACH(i) {
      if (n > i * lanes<K> && n <= (i + 1) * lanes<K>) sort_few<i + 1>(first, n);
    });
  }

 private:
  using V = Vec<K>;
  static constexpr int vectors = lanes<K> >= 8 ? 4 : 8, few = vectors * lanes<K>, samples = 16;
  static constexpr std::int64_t stretch = 1 << 16;  // keys between points where a long partition can be stopped

  K sampled_pivot(const K* from, std::int64_t n) {
    alignas(64) K sample[samples], ranks[samples];
    const auto reach = static_cast<std::uint64_t>(least(n, std::int64_t{1} << 31));
    for (K& s : sample) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
      s = from[(random_ >> 33) * reach >> 31];
    }
    find_ranks<samples / lanes<K>>(sample, ranks);
    int i = 0;
    while (ranks[i] != samples / 2) ++i;
    return sample[i];
  }

  // Above the smallest key unless all are equal.
  static K middle(const K* from, std::int64_t n) {
    using U = UInt<K>;
    K low = *from, high = *from;
    for (std::int64_t i = 1; i < n; ++i) {
      low = from[i] < low ? from[i] : low;
      high = from[i] > high ? from[i] : high;
    }
    const U range = static_cast<U>(high) - static_cast<U>(low);
    return static_cast<K>(static_cast<U>(low) + range / 2 + (range & 1));
  }

  // Keys below the pivot to the front, the others behind them. Returns how many are below.
  std::int64_t partition(std::int64_t first, std::int64_t n, K pivot) {
    K *keys = keys_ + first, *positions = paired ? positions_ + first : nullptr;
    std::int64_t below = 0, rest = 0;
    for (std::int64_t i = 0; i < n; i += stretch) {
      if (i) interruption_point();
      split(keys, positions, i, least(n, i + stretch), pivot, below, rest);
    }
    __builtin_memcpy(keys + below, spare_keys_, static_cast<std::size_t>(rest) * sizeof(K));
    if (paired) __builtin_memcpy(positions + below, spare_positions_, static_cast<std::size_t>(rest) * sizeof(K));
    return below;
  }

  STEEP_INLINE void split(K* keys, K* positions, std::int64_t i, std::int64_t end, K pivot, std::int64_t& below,
                          std::int64_t& rest) {
    std::int64_t low = below, high = rest;
    for (; i + lanes<K> <= end; i += lanes<K>) {
      const V x = load(keys + i), p = paired ? load(positions + i) : x;
      const unsigned which = lanes_below(x, V(pivot)), others = ~which & all_lanes<K>;
      store(keys + low, first_lanes(x, which));
      store(spare_keys_ + high, first_lanes(x, others));
      if constexpr (paired) {
        store(positions + low, first_lanes(p, which));
        store(spare_positions_ + high, first_lanes(p, others));
      }
      const int count = __builtin_popcount(which);
      low += count;
      high += lanes<K> - count;
    }
    if (i < end) {
      const std::int64_t left = end - i;
      const V x = load_part(keys + i, left), p = paired ? load_part(positions + i, left) : x;
      const unsigned all = (1u << left) - 1, which = lanes_below(x, V(pivot)) & all, others = ~which & all;
      const int count = __builtin_popcount(which);
      store_part(keys + low, first_lanes(x, which), count);
      store_part(spare_keys_ + high, first_lanes(x, others), left - count);
      if constexpr (paired) {
        store_part(positions + low, first_lanes(p, which), count);
        store_part(spare_positions_ + high, first_lanes(p, others), left - count);
      }
      low += count;
      high += left - count;
    }
    below = low;
    rest = high;
  }

  template <int r> [[gnu::noinline]] void sort_few(std::int64_t first, std::int64_t n) {
    constexpr int last = (r - 1) * lanes<K>;
    alignas(64) K keys[r * lanes<K>], positions[r * lanes<K>], ranks[r * lanes<K>];
    const V end = select(numbers_from<K>(0) < V(static_cast<K>(n - last)), load_part(keys_ + first + last, n - last),
                         V(highest<K>()));
    for (int i = 0; i < last; i += lanes<K>) store(keys + i, load(keys_ + first + i));
    store(keys + last, end);
    find_ranks<r>(keys, ranks);
    for (std::int64_t i = 0; i < n; ++i) keys_[first + ranks[i]] = keys[i];
    if constexpr (paired) {
      for (std::int64_t i = 0; i < n; ++i) positions[i] = positions_[first + i];
      for (std::int64_t i = 0; i < n; ++i) positions_[first + ranks[i]] = positions[i];
    }
  }

  K *keys_, *positions_, *spare_keys_, *spare_positions_;
  std::uint64_t random_ = 1;
};

template <class K, bool paired> static void sort_rows_as(const Sorting& s) {
  Quicksort<K, paired> sorter(s);
  int depth = 0;
  for (std::int64_t i = s.n; i > 0; i /= 2) depth += 2;
  for (std::int64_t r = 0; r < s.rows; ++r) sorter.sort(r * s.n, s.n, depth);
}
template <class K> static void sort_rows(const Sorting& s) {
  (s.positions ? sort_rows_as<K, true> : sort_rows_as<K, false>)(s);
}

template <class K> static void find_buckets(const void* from, const void* with, std::uint8_t* buckets, std::int64_t n) {
  typedef std::uint8_t Narrow __attribute__((vector_size(lanes<K>)));
  const K *keys = static_cast<const K*>(from), *splitters = static_cast<const K*>(with);
  std::int64_t i = 0;
  for (; i + lanes<K> <= n; i += lanes<K>) {
    const Vec<K> x = load(keys + i);
    Vec<K> count(K(0));
    repeat<splitter_count>(STEEP_EACH(s) { count = count - (Vec<K>(splitters[s]) <= x); });
    const Narrow narrow = __builtin_convertvector(count.v, Narrow);
    __builtin_memcpy(buckets + i, &narrow, sizeof narrow);
  }
  for (; i < n; ++i) {
    buckets[i] = 0;
    for (int s = 0; s < splitter_count; ++s) buckets[i] += splitters[s] <= keys[i];
  }
}

}  // namespace sorting
