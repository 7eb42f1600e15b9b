// Sorting by digits. An element becomes an unsigned key whose order is the wanted one, beside its position; keys are
// then counted and moved by 8 bits at a time from the lowest digit up, which keeps the order of equal ones (an LSD
// radix sort: Knuth, The Art of Computer Programming, volume 3, 5.2.5). Short rows are sorted by comparing keys, and
// the first few of a long row are kept in a heap. Start reading at order_rows.
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

// The unsigned integer whose order is that of x: all bits of a negative float are inverted, of others the sign's.
template <class K, class E> K key_of(E x, bool descending) {
  using U = std::conditional_t<sizeof(E) == 8, std::uint64_t,
                               std::conditional_t<sizeof(E) == 4, std::uint32_t, std::uint8_t>>;
  constexpr U sign = static_cast<U>(U{1} << (8 * sizeof(E) - 1));
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

template <class K> using Items = std::unique_ptr<Item<K>[]>;
template <class K> Items<K> room_for(std::int64_t n) { return Items<K>(new Item<K>[static_cast<std::size_t>(n)]); }

// How many items of a chunk have each value of a digit; then, where the next of them goes.
struct Counts {
  std::int64_t of[digits];
};

template <class K> int digit_of(const Item<K>& item, int shift) {
  return static_cast<int>(item.key >> shift) & (digits - 1);
}

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
template <class K, class Each> void sort_by_digits(Items<K>& from, Items<K>& to, std::int64_t n, int bits, Each each) {
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
      : n_(n), k_(k), descending_(descending), few_(k <= n / 16), items_(room_for<K>(few_ ? k : n)) {
    if (!few_ && n > shortest) spare_ = room_for<K>(n);
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
  Items<K> items_, spare_;
};

template <class K, class E> void order_rows_as(T in, T out, bool descending) {
  const std::int64_t n = in.dim(-1), k = out.dim(-1), rows = in.size() / n;
  const E* from = in.data<E>();
  std::int64_t* to = out.data<std::int64_t>();
  const auto here = [](std::int64_t count, const auto& f) { serial_for(count, chunk, f); };
  const auto shared = [](std::int64_t count, const auto& f) { parallel_for(count, chunk, 2.0, f); };
  if (rows < threads() && n > 2 * chunk) {
    Sorter<K, E> sorter(n, k, descending);
    for (std::int64_t r = 0; r < rows; ++r) sorter.sort(from + r * n, to + r * k, shared);
    return;
  }
  parallel_for(rows, std::max<std::int64_t>(1, chunk / n), 20.0 * static_cast<double>(n),
               [&](std::int64_t b, std::int64_t e) {
                 Sorter<K, E> sorter(n, k, descending);
                 for (std::int64_t r = b; r < e; ++r) sorter.sort(from + r * n, to + r * k, here);
               });
}

// Positions have to fit in the integers of the keys.
template <class E> void order_rows_of(T in, T out, bool descending) {
  if (sizeof(E) == 8 || in.dim(-1) >= std::int64_t{1} << 32) order_rows_as<std::uint64_t, E>(in, out, descending);
  else order_rows_as<std::uint32_t, E>(in, out, descending);
}

}  // namespace

void order_rows(T in, T out, bool descending) {
  switch (in.dtype()) {
    case Float32: return order_rows_of<float>(in, out, descending);
    case Float64: return order_rows_of<double>(in, out, descending);
    case Int64: return order_rows_of<std::int64_t>(in, out, descending);
    case Int32: return order_rows_of<std::int32_t>(in, out, descending);
    default: return order_rows_of<std::uint8_t>(in, out, descending);
  }
}

}  // namespace steep
