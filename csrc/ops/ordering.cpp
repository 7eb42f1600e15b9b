// Sorting by integer keys whose order is that of the elements, by the kernels of kernels/sort.inl.h. A long row is
// first distributed among 16 ranges of keys, each small enough for a processor's cache and a piece of work of its own
// (a sample sort: Frazer and McKellar, Samplesort, 1970). The first few of a long row are kept in a heap. Start
// reading at order_rows, then KeySorter.
#include "ops/ordering.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "kernels/integers.h"
#include "kernels/pages.h"
#include "kernels/table.h"

namespace steep {
namespace {

using T = const Tensor&;

constexpr std::int64_t chunk = 1 << 16;     // elements at a time, by one thread
constexpr std::int64_t long_row = 1 << 18;  // keys of a row from which on it is distributed

// An array of working memory, null unless it has a size.
template <class X> class Memory {
 public:
  Memory() = default;
  explicit Memory(std::int64_t n) : block_(static_cast<std::size_t>(n) * sizeof(X)) {}
  X* get() const { return static_cast<X*>(block_.at()); }
  X& operator[](std::int64_t i) const { return get()[i]; }

 private:
  k::Block block_;
};

// How long loops run: on this thread, or shared among several. f(begin, end) is called for blocks of `grain` items.
struct Here {
  template <class F> void operator()(std::int64_t n, std::int64_t grain, double, F&& f) const {
    serial_for(n, grain, f);
  }
};
struct Shared {
  template <class F> void operator()(std::int64_t n, std::int64_t grain, double cost, F&& f) const {
    parallel_for(n, grain, cost, f);
  }
};

template <class K> constexpr DType key_dtype = sizeof(K) == 8 ? Int64 : Int32;

template <class K> struct Items {
  Memory<K> keys, positions;

  Items(std::int64_t n, bool paired) : keys(n) {
    if (paired) positions = Memory<K>(n);
  }
};

// Rows of keys, with positions beside them where these are asked for.
template <class K> class KeySorter {
 public:
  KeySorter(std::int64_t n, bool paired) : items_(n, paired), spare_(n, paired) {}
  K* keys() const { return items_.keys.get(); }
  K* positions() const { return items_.positions.get(); }

  template <class Each> void sort(std::int64_t rows, std::int64_t n, const Each& each) {
    if (rows == 1 && n >= long_row) sort_ranges(n, each);
    else sort_part(0, rows, n);
  }

 private:
  static constexpr int ranges = k::splitter_count + 1, samples = 16 * ranges;
  using Counts = std::array<std::int64_t, ranges>;

  void sort_part(std::int64_t first, std::int64_t rows, std::int64_t n) {
    const auto at = [&](const Memory<K>& m) { return m.get() ? m.get() + first : nullptr; };
    k::table().sort_rows[key_dtype<K>](
        {at(items_.keys), at(items_.positions), at(spare_.keys), at(spare_.positions), rows, n});
  }

  std::array<K, k::splitter_count> find_splitters(std::int64_t n) const {
    std::array<K, samples> sample, spare;
    std::uint64_t random = 1;
    for (K& s : sample) {
      random = random * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
      s = items_.keys[static_cast<std::int64_t>(random >> 11) % n];
    }
    k::table().sort_rows[key_dtype<K>]({sample.data(), nullptr, spare.data(), nullptr, 1, samples});
    std::array<K, k::splitter_count> out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = sample[(i + 1) * samples / ranges];
    return out;
  }

  // Where the first key of each range goes: by range, then by chunk, which keeps the order of equal ones. `chunks`
  // holds counts before and places after.
  static std::array<std::int64_t, ranges + 1> find_places(std::vector<Counts>& chunks) {
    std::array<std::int64_t, ranges + 1> starts{};
    std::int64_t next = 0;
    for (std::size_t r = 0; r < ranges; ++r) {
      starts[r] = next;
      for (Counts& c : chunks) next += std::exchange(c[r], next);
    }
    starts[ranges] = next;
    return starts;
  }

  template <class Each> void sort_ranges(std::int64_t n, const Each& each) {
    const auto splitters = find_splitters(n);
    const Memory<std::uint8_t> range_of(n);
    std::vector<Counts> chunks(static_cast<std::size_t>(k::ceil_div(n, chunk)));
    const auto counts_at = [&](std::int64_t first) -> Counts& {
      return chunks[static_cast<std::size_t>(first / chunk)];
    };
    each(n, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      Counts& counts = counts_at(b) = {};
      k::table().find_buckets[key_dtype<K>](&items_.keys[b], splitters.data(), &range_of[b], e - b);
      for (std::int64_t i = b; i < e; ++i) ++counts[range_of[i]];
    });
    const auto starts = find_places(chunks);
    each(n, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      Counts next = counts_at(b);
      for (std::int64_t i = b; i < e; ++i) {
        const std::int64_t to = next[range_of[i]]++;
        spare_.keys[to] = items_.keys[i];
        if (items_.positions.get()) spare_.positions[to] = items_.positions[i];
      }
    });
    std::swap(items_, spare_);
    each(ranges, 1, 2.0 * static_cast<double>(n), [&](std::int64_t b, std::int64_t e) {
      for (auto r = static_cast<std::size_t>(b); r < static_cast<std::size_t>(e); ++r)
        sort_part(starts[r], 1, starts[r + 1] - starts[r]);
    });
  }

  Items<K> items_, spare_;
};

// Rows of elements, read as keys.
struct Elements {
  const char* data;
  DType dtype;
  bool descending;

  Elements(T in, bool descending_) : data(in.bytes()), dtype(in.dtype()), descending(descending_) {}
  const char* at(std::int64_t i) const { return data + i * size_of(dtype); }
  bool key_is_wide() const { return size_of(dtype) == 8; }

  // Returns whether there are elements that their keys do not restore.
  template <class K> bool read(std::int64_t first, std::int64_t n, K* keys) const {
    if (key_is_wide() == (sizeof(K) == 8)) return k::table().keys_of[dtype](at(first), keys, n, descending);
    const Memory<std::int32_t> narrow(n);
    const bool special = k::table().keys_of[dtype](at(first), narrow.get(), n, descending);
    std::copy_n(narrow.get(), n, keys);
    return special;
  }
};

// Calls f(first row, rows, each) for some rows at a time: a long row is shared among threads if there are few.
template <class F> void for_rows(std::int64_t rows, std::int64_t n, F&& f) {
  if (rows < threads() && n >= long_row) {
    for (std::int64_t r = 0; r < rows; ++r) f(r, std::int64_t{1}, Shared{});
    return;
  }
  const std::int64_t some = std::max<std::int64_t>(1, chunk / n);
  parallel_for(k::ceil_div(rows, some), 1, 5.0 * static_cast<double>(some * n), [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t r = b * some; r < std::min(rows, e * some); r += some) f(r, std::min(some, rows - r), Here{});
  });
}

template <class K> void order_all(const Elements& in, std::int64_t rows, std::int64_t n, std::int64_t k, T out) {
  for_rows(rows, n, [&](std::int64_t first, std::int64_t count, const auto& each) {
    KeySorter<K> sorter(count * n, true);
    each(count * n, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      in.read(first * n + b, e - b, sorter.keys() + b);
      for (std::int64_t i = b; i < e; ++i) sorter.positions()[i] = static_cast<K>(i % n);
    });
    sorter.sort(count, n, each);
    std::int64_t* to = out.data<std::int64_t>() + first * k;
    each(count * k, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      using U = std::make_unsigned_t<K>;
      for (std::int64_t i = b; i < e; ++i)
        to[i] = static_cast<std::int64_t>(static_cast<U>(sorter.positions()[i / k * n + i % k]));
    });
  });
}

struct Item {
  std::int64_t key, position;

  bool operator<(const Item& o) const { return key < o.key || (key == o.key && position < o.position); }
};

// The first k of a row by a heap whose top is the last of them.
void find_first(const Elements& in, std::int64_t first, std::int64_t n, std::int64_t k, std::int64_t* out) {
  constexpr std::int64_t some = 1024;
  std::vector<Item> heap;
  std::array<std::int64_t, some> keys;
  for (std::int64_t b = 0; b < n; b += some) {
    if (b % chunk == 0 && b) k::interruption_point();
    const std::int64_t count = std::min(some, n - b);
    in.read(first + b, count, keys.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const Item item{keys[static_cast<std::size_t>(i)], b + i};
      if (static_cast<std::int64_t>(heap.size()) == k) {
        if (item.key >= heap.front().key) continue;
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back(item);
      std::push_heap(heap.begin(), heap.end());
    }
  }
  std::sort_heap(heap.begin(), heap.end());
  for (const Item& item : heap) *out++ = item.position;
}

// Puts back the elements that keys do not hold: equal ones keep their order, so zeros, of either sign, and NaN,
// whatever its bits, are copied one after the other.
template <class E> void restore(const E* row, E* out, std::int64_t n) {
  const auto copy_if = [&](E* to, auto of) {
    serial_for(n, chunk, [&](std::int64_t b, std::int64_t e) { to = std::copy_if(row + b, row + e, to, of); });
  };
  const auto is_nan = [](E x) { return x != x; };
  std::int64_t nans = 0;
  serial_for(n, chunk, [&](std::int64_t b, std::int64_t e) { nans += std::count_if(row + b, row + e, is_nan); });
  if (nans) copy_if(out + n - nans, is_nan);
  copy_if(std::find(out, out + n, E{0}), [](E x) { return x == E{0}; });
}

void restore_rows(T in, T out, std::int64_t first, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = first; r < first + rows; ++r) {
    if (in.dtype() == Float32) restore(in.data<float>() + r * n, out.data<float>() + r * n, n);
    else restore(in.data<double>() + r * n, out.data<double>() + r * n, n);
  }
}

template <class K> void sort_values_as(T in, T out, bool descending) {
  const std::int64_t n = in.dim(-1);
  const Elements elements(in, descending);
  for_rows(in.size() / n, n, [&](std::int64_t first, std::int64_t count, const auto& each) {
    KeySorter<K> sorter(count * n, false);
    std::atomic<bool> special = false;
    each(count * n, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      if (elements.read(first * n + b, e - b, sorter.keys() + b)) special.store(true, std::memory_order_relaxed);
    });
    sorter.sort(count, n, each);
    char* to = out.bytes() + first * n * size_of(out.dtype());
    each(count * n, chunk, 1.0, [&](std::int64_t b, std::int64_t e) {
      k::table().elements_of[out.dtype()](sorter.keys() + b, to + b * size_of(out.dtype()), e - b, descending);
    });
    if (special) restore_rows(in, out, first, count, n);
  });
}

}  // namespace

void order_rows(T in, T out, bool descending) {
  const Elements elements(in, descending);
  const std::int64_t n = in.dim(-1), k = out.dim(-1), rows = in.size() / n;
  if (k == 0) return;
  if (k <= n / 16) {
    parallel_for(rows, std::max<std::int64_t>(1, chunk / n), 2.0 * static_cast<double>(n),
                 [&](std::int64_t b, std::int64_t e) {
                   for (std::int64_t r = b; r < e; ++r)
                     find_first(elements, r * n, n, k, out.data<std::int64_t>() + r * k);
                 });
  } else if (elements.key_is_wide() || n >= std::int64_t{1} << 32) {
    order_all<std::int64_t>(elements, rows, n, k, out);
  } else {
    order_all<std::int32_t>(elements, rows, n, k, out);
  }
}

void sort_values(T in, T out, bool descending) {
  if (size_of(in.dtype()) == 8) sort_values_as<std::int64_t>(in, out, descending);
  else sort_values_as<std::int32_t>(in, out, descending);
}

}  // namespace steep
