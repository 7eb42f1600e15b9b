// Random numbers by Philox 4x32-10, a counter-based generator: four 32-bit words from a key and a counter, with no
// state between calls. Words are made for many counters at once and held as four planes; a distribution turns planes of
// words into planes of values; random_fill interleaves those into the output. Start reading at random_fill.

constexpr int kBatch = 64;  // counters at a time
struct Words {
  alignas(64) std::uint32_t plane[4][kBatch];
};

STEEP_INLINE void store_low32(std::uint32_t* p, Vec<std::uint64_t> x) {
  typedef std::uint32_t Half __attribute__((vector_size(kVecBytes / 2)));
  const Half h = __builtin_convertvector(x.v, Half);
  __builtin_memcpy(p, &h, sizeof h);
}

// The words of counters first, first + 1, ... for at least `count` of them. Only the low 32 bits of a lane are
// meaningful; mul_low32 and store_low32 ignore the rest.
STEEP_INLINE void philox(std::uint64_t key, std::uint64_t first, std::int64_t count, Words& w) {
  using V = Vec<std::uint64_t>;
  V lane;
  for (int i = 0; i < V::n; ++i) lane.v[i] = static_cast<std::uint64_t>(i);
  for (std::int64_t i = 0; i < count; i += V::n) {
    V c0 = lane + V(first + static_cast<std::uint64_t>(i)), c1 = c0 >> 32, c2(0), c3(0);
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
      const V p0 = mul_low32(c0, V(0xD2511F53u)), p1 = mul_low32(c2, V(0xCD9E8D57u));
      c0 = (p1 >> 32) ^ c1 ^ V(k0);
      c2 = (p0 >> 32) ^ c3 ^ V(k1);
      c1 = p1;
      c3 = p0;
    }
    store_low32(w.plane[0] + i, c0);
    store_low32(w.plane[1] + i, c1);
    store_low32(w.plane[2] + i, c2);
    store_low32(w.plane[3] + i, c3);
  }
}

STEEP_INLINE std::uint64_t join(std::uint32_t high, std::uint32_t low) {
  return static_cast<std::uint64_t>(high) << 32 | low;
}

// A distribution: `per` values of type T from the four words of a counter.
struct Bits {
  using T = std::uint64_t;
  static constexpr int per = 2;
  static void make(const Words& w, T (*out)[kBatch], std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) out[0][i] = join(w.plane[0][i], w.plane[1][i]);
    for (std::int64_t i = 0; i < count; ++i) out[1][i] = join(w.plane[2][i], w.plane[3][i]);
  }
};

template <class T> struct Uniform;
template <> struct Uniform<float> {
  using T = float;
  static constexpr int per = 4;
  static void make(const Words& w, T (*out)[kBatch], std::int64_t count) {
    for (int p = 0; p < 4; ++p)
      for (std::int64_t i = 0; i < count; ++i)
        out[p][i] = static_cast<float>(static_cast<std::int32_t>(w.plane[p][i] >> 8)) * 0x1p-24f;
  }
};
template <> struct Uniform<double> {
  using T = double;
  static constexpr int per = 2;
  static void make(const Words& w, T (*out)[kBatch], std::int64_t count) {
    for (int p = 0; p < 2; ++p)
      for (std::int64_t i = 0; i < count; ++i) {
        const auto word = static_cast<std::int64_t>(join(w.plane[2 * p][i], w.plane[2 * p + 1][i]) >> 11);
        out[p][i] = static_cast<double>(word) * 0x1p-53;
      }
  }
};

constexpr double kRadians = 3.4061215800865546e-19;  // 2 pi / 2^64

// Box-Muller: from u in (0, 1] and an angle, sqrt(-2 log u) cos(angle) and sqrt(-2 log u) sin(angle).
template <class T> STEEP_INLINE void box_muller(Vec<T> u, Vec<T> angle, T* a, T* b) {
  const Vec<T> radius = sqrtv(T(-2) * logv(u));
  store(a, radius * cosv(angle));
  store(b, radius * sinv(angle));
}
template <class T> struct Normal;
template <> struct Normal<float> {
  using T = float;
  static constexpr int per = 4;
  static void make(const Words& w, T (*out)[kBatch], std::int64_t count) {
    for (int p = 0; p < 4; p += 2)
      for (std::int64_t i = 0; i < count; i += Vec<float>::n) {
        const auto word = [&](int plane) { return load(reinterpret_cast<const std::int32_t*>(w.plane[plane] + i)); };
        const Vec<float> u = convert<float>(word(p) & 0x7fffffff) * 0x1p-31f + 0x1p-32f;
        const Vec<float> angle = convert<float>(word(p + 1)) * 1.4629180792671596e-9f;  // 2 pi / 2^32
        box_muller(u, angle, out[p] + i, out[p + 1] + i);
      }
  }
};
template <> struct Normal<double> {
  using T = double;
  static constexpr int per = 2;
  static void make(const Words& w, T (*out)[kBatch], std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += Vec<double>::n) {
      Vec<double> u, angle;
      for (int l = 0; l < Vec<double>::n; ++l) {
        const auto word = [&](int plane) { return join(w.plane[plane][i + l], w.plane[plane + 1][i + l]); };
        u.v[l] = (static_cast<double>(static_cast<std::int64_t>(word(0) >> 12)) + 0.5) * 0x1p-52;
        angle.v[l] = static_cast<double>(static_cast<std::int64_t>(word(2))) * kRadians;
      }
      box_muller(u, angle, out[0] + i, out[1] + i);
    }
  }
};

template <class D> void random_fill(void* out, std::int64_t n, std::uint64_t key, std::uint64_t start) {
  using T = typename D::T;
  T* to = static_cast<T*>(out);
  Words w;
  alignas(64) T planes[D::per][kBatch];
  std::uint64_t counter = start / D::per;
  std::int64_t skip = static_cast<std::int64_t>(start % D::per);
  while (n > 0) {
    const std::int64_t need = (skip + n + D::per - 1) / D::per, count = need < kBatch ? need : kBatch;
    philox(key, counter, count, w);
    D::make(w, planes, count);
    const std::int64_t end = skip + n < count * D::per ? skip + n : count * D::per;
    for (std::int64_t i = skip; i < end; ++i) *to++ = planes[i % D::per][i / D::per];
    n -= end - skip;
    counter += static_cast<std::uint64_t>(count);
    skip = 0;
  }
}
