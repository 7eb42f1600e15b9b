// Sorting by digits. An element becomes an unsigned key whose order is the wanted one, beside its position where that
// is asked for; keys are then counted and moved by 8 bits at a time from the lowest digit up, which keeps the order of
// equal ones (an LSD radix sort: Knuth, The Art of Computer Programming, volume 3, 5.2.5). Short rows are sorted by
// comparing keys, and the first few of a long row are kept in a heap. Start reading at order_rows, then sort_values.
#include "ops/ordering.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "kernels/integers.h"

namespace steep {
namespace {

using T = const Tensor&;

constexpr std::int64_t shortest = 96;    // below it, comparing is faster than counting
constexpr std::int64_t chunk = 1 << 16;  // items that are counted and moved at a time, by one thread
constexpr int digit_bits = 8, digits = 1 << digit_bits;

template <class K> struct Item {
  K key, position;

  bool operator<(const Item& o) const { return key < o.key || (key == o.key && position < o.position); }
};

template <class E> using Unsigned =
    std::conditional_t<sizeof(E) == 8, std::uint64_t, std::conditional_t<sizeof(E) == 4, std::uint32_t, std::uint8_t>>;
template <class E> constexpr auto sign_bit = static_cast<Unsigned<E>>(Unsigned<E>{1} << (8 * sizeof(E) - 1));

// The unsigned integer whose order is that of x: all bits of a negative float are inverted, of others the sign's.
template <class K, class E> K key_of(E x, bool descending) {
  using U = Unsigned<E>;
  constexpr U sign = sign_bit<E>;
  U u;
  if constexpr (std::is_floating_point_v<E>) {
    if (std::isnan(x)) return static_cast<K>(~U{0});
    u = std::bit_cast<U>(x + E{0});  // -0 becomes 0
    u = u & sign ? static_cast<U>(~u) : static_cast<U>(u | sign);
  } else {
    u = static_cast<U>(x);
    if constexpr (std::is_signed_v<E>) u ^= sign;
  }
  return static_cast<K>(descending ? static_cast<U>(~u) : u);
}

// The element with this key, but for the signs of zeros and the bits of NaN.
template <class E> E value_of(Unsigned<E> key, bool descending) {
  using U = Unsigned<E>;
  constexpr U sign = sign_bit<E>;
  U u = descending ? static_cast<U>(~key) : key;
  if constexpr (std::is_floating_point_v<E>) {
    return std::bit_cast<E>(static_cast<U>(u & sign ? u ^ sign : ~u));
  } else {
    if constexpr (std::is_signed_v<E>) u ^= sign;
    return static_cast<E>(u);
  }
}

template <class X> using Memory = std::unique_ptr<X[]>;
template <class X> Memory<X> memory_for(std::int64_t n) { return Memory<X>(new X[static_cast<std::size_t>(n)]); }

// How many items of a chunk have each value of a digit; then, where the next of them goes.
struct Counts {
  std::int64_t of[digits];
};

template <class K> int digit_of(const Item<K>& item, int shift) {
  return static_cast<int>(item.key >> shift) & (digits - 1);
}
template <class K> int digit_of(K key, int shift) { return static_cast<int>(key >> shift) & (digits - 1); }

// The order of items by one digit: within it by chunk, within a chunk as they are. False if all have the same digit.
bool place(std::vector<Counts>& chunks, std::int64_t n) {
  std::int64_t next = 0;
  for (int d = 0; d < digits; ++d) {
    const std::int64_t first = next;
    for (Counts& c : chunks) {
      const std::int64_t count = c.of[d];
      c.of[d] = next;
      next += count;
    }
    if (next - first == n) return false;
  }
  return true;
}

// `each(n, f)` calls f(first, end) for every chunk, on this thread or on several.
template <class X, class Each>
void sort_by_digits(Memory<X>& from, Memory<X>& to, std::int64_t n, int bits, Each each) {
  std::vector<Counts> chunks(static_cast<std::size_t>(k::ceil_div(n, chunk)));
  const auto counts_at = [&](std::int64_t first) -> Counts& { return chunks[static_cast<std::size_t>(first / chunk)]; };
  for (int shift = 0; shift < bits; shift += digit_bits) {
    each(n, [&](std::int64_t first, std::int64_t end) {
      Counts& c = counts_at(first) = {};
      for (std::int64_t i = first; i < end; ++i) ++c.of[digit_of(from[i], shift)];
    });
    if (!place(chunks, n)) continue;
    each(n, [&](std::int64_t first, std::int64_t end) {
      Counts& c = counts_at(first);
      for (std::int64_t i = first; i < end; ++i) to[c.of[digit_of(from[i], shift)]++] = from[i];
    });
    std::swap(from, to);
  }
}

// The first k of a row by a heap whose top is the last of them.
template <class K, class At> void find_first(Item<K>* heap, std::int64_t k, std::int64_t n, At at) {
  for (std::int64_t i = 0; i < k; ++i) heap[i] = at(i);
  std::make_heap(heap, heap + k);
  serial_for(n - k, chunk, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = k + b; i < k + e; ++i) {
      const Item<K> item = at(i);
      if (item.key >= heap->key) continue;
      std::pop_heap(heap, heap + k);
      heap[k - 1] = item;
      std::push_heap(heap, heap + k);
    }
  });
  std::sort_heap(heap, heap + k);
}

template <class K, class E> class Sorter {
 public:
  Sorter(std::int64_t n, std::int64_t k, bool descending)
      : n_(n), k_(k), descending_(descending), few_(k <= n / 16), items_(memory_for<Item<K>>(few_ ? k : n)) {
    if (!few_ && n > shortest) spare_ = memory_for<Item<K>>(n);
  }
  template <class Each> void sort(const E* row, std::int64_t* out, Each each) {
    const auto at = [&](std::int64_t i) { return Item<K>{key_of<K>(row[i], descending_), static_cast<K>(i)}; };
    if (few_) {
      if (k_ > 0) find_first<K>(items_.get(), k_, n_, at);
    } else {
      each(n_, [&](std::int64_t b, std::int64_t e) {
        for (std::int64_t i = b; i < e; ++i) items_[i] = at(i);
      });
      if (n_ <= shortest) std::sort(items_.get(), items_.get() + n_);
      else sort_by_digits(items_, spare_, n_, static_cast<int>(8 * sizeof(E)), each);
    }
    each(k_, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i) out[i] = static_cast<std::int64_t>(items_[i].position);
    });
  }

 private:
  std::int64_t n_, k_;
  bool descending_, few_;
  Memory<Item<K>> items_, spare_;
};

// Keys without positions: half the memory to move. Which zeros are negative, and the bits of NaN, are no part of a key;
// equal elements keep their order, so these are copied one after the other.
template <class E> class ValueSorter {
 public:
  using K = Unsigned<E>;

  ValueSorter(std::int64_t n, bool descending) : n_(n), descending_(descending), keys_(memory_for<K>(n)) {
    if (n > shortest) spare_ = memory_for<K>(n);
  }
  template <class Each> void sort(const E* row, E* out, Each each) {
    each(n_, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i) keys_[i] = key_of<K>(row[i], descending_);
    });
    if (n_ <= shortest) std::sort(keys_.get(), keys_.get() + n_);
    else sort_by_digits(keys_, spare_, n_, static_cast<int>(8 * sizeof(E)), each);
    each(n_, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i) out[i] = value_of<E>(keys_[i], descending_);
    });
    if constexpr (std::is_floating_point_v<E>) restore(row, out);
  }

 private:
  void restore(const E* row, E* out) const {
    std::int64_t nans = 0, negative_zeros = 0;
    serial_for(n_, chunk, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i) {
        nans += row[i] != row[i];
        negative_zeros += std::bit_cast<K>(row[i]) == sign_bit<E>;
      }
    });
    if (nans) copy_if(row, out + n_ - nans, [](E x) { return x != x; });
    if (negative_zeros) copy_if(row, std::find(out, out + n_, E{0}), [](E x) { return x == E{0}; });
  }
  template <class Of> void copy_if(const E* row, E* to, Of of) const {
    serial_for(n_, chunk, [&](std::int64_t b, std::int64_t e) { to = std::copy_if(row + b, row + e, to, of); });
  }

  std::int64_t n_;
  bool descending_;
  Memory<K> keys_, spare_;
};

// Calls sort(sorter, row, each) for every row: a long row is shared among threads if there are few.
template <class Make, class F> void sort_each_row(std::int64_t rows, std::int64_t n, const Make& make, F&& sort) {
  const auto here = [](std::int64_t count, const auto& f) { serial_for(count, chunk, f); };
  const auto shared = [](std::int64_t count, const auto& f) { parallel_for(count, chunk, 2.0, f); };
  if (rows < threads() && n > 2 * chunk) {
    auto sorter = make();
    for (std::int64_t r = 0; r < rows; ++r) sort(sorter, r, shared);
    return;
  }
  parallel_for(rows, std::max<std::int64_t>(1, chunk / n), 20.0 * static_cast<double>(n),
               [&](std::int64_t b, std::int64_t e) {
                 auto sorter = make();
                 for (std::int64_t r = b; r < e; ++r) sort(sorter, r, here);
               });
}

template <class K, class E> void order_rows_as(T in, T out, bool descending) {
  const std::int64_t n = in.dim(-1), k = out.dim(-1);
  const E* from = in.data<E>();
  std::int64_t* to = out.data<std::int64_t>();
  sort_each_row(
      in.size() / n, n, [&] { return Sorter<K, E>(n, k, descending); },
      [&](auto& sorter, std::int64_t r, const auto& each) { sorter.sort(from + r * n, to + r * k, each); });
}

template <class E> void sort_values_of(T in, T out, bool descending) {
  const std::int64_t n = in.dim(-1);
  const E* from = in.data<E>();
  E* to = out.data<E>();
  sort_each_row(
      in.size() / n, n, [&] { return ValueSorter<E>(n, descending); },
      [&](auto& sorter, std::int64_t r, const auto& each) { sorter.sort(from + r * n, to + r * n, each); });
}

// Positions have to fit in the integers of the keys.
template <class E> void order_rows_of(T in, T out, bool descending) {
  if (sizeof(E) == 8 || in.dim(-1) >= std::int64_t{1} << 32) order_rows_as<std::uint64_t, E>(in, out, descending);
  else order_rows_as<std::uint32_t, E>(in, out, descending);
}

// Calls f with a value of the type that the elements are compared as: bools are integers.
template <class F> void with_element(DType t, F&& f) {
  switch (t) {
    case Float32: return f(float{});
    case Float64: return f(double{});
    case Int64: return f(std::int64_t{});
    case Int32: return f(std::int32_t{});
    default: return f(std::uint8_t{});
  }
}

}  // namespace

void order_rows(T in, T out, bool descending) {
  with_element(in.dtype(), [&](auto e) { order_rows_of<decltype(e)>(in, out, descending); });
}

void sort_values(T in, T out, bool descending) {
  with_element(in.dtype(), [&](auto e) { sort_values_of<decltype(e)>(in, out, descending); });
}

}  // namespace steep
