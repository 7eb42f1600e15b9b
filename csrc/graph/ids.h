// Numbers of buffers, instructions and units, each a type of its own, and the tables that only such a number indexes:
// one is not taken for another, and no cast stands where a table is read. Start reading at Table.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace steep {

enum class BufferId : int { none = -1 };
enum class InstructionId : int { none = -1 };
enum class UnitId : int { none = -1 };

// Whether it is the number of anything.
template <class Id> constexpr bool is_some(Id i) { return static_cast<int>(i) >= 0; }

template <class Id> constexpr Id before(Id i) { return static_cast<Id>(static_cast<int>(i) - 1); }

// All numbers below `end`: for (const UnitId u : units.ids()).
template <class Id> class IdRange {
 public:
  struct Iterator {
    int at;
    Id operator*() const { return static_cast<Id>(at); }
    Iterator& operator++() { return ++at, *this; }
    friend bool operator==(Iterator a, Iterator b) { return a.at == b.at; }
  };
  explicit IdRange(std::size_t end) : end_(static_cast<int>(end)) {}
  Iterator begin() const { return {0}; }
  Iterator end() const { return {end_}; }

 private:
  int end_;
};

// A vector indexed by Id: an enumeration of the above, or int.
template <class Id, class T> class Table {
 public:
  Table() = default;
  explicit Table(std::size_t n) : all_(n) {}
  Table(std::size_t n, const T& value) : all_(n, value) {}

  decltype(auto) operator[](Id i) { return all_[static_cast<std::size_t>(i)]; }
  decltype(auto) operator[](Id i) const { return all_[static_cast<std::size_t>(i)]; }
  Id add(T value) {
    all_.push_back(std::move(value));
    return last();
  }
  Id last() const { return static_cast<Id>(static_cast<int>(all_.size()) - 1); }
  IdRange<Id> ids() const { return IdRange<Id>(all_.size()); }

  std::size_t size() const { return all_.size(); }
  bool empty() const { return all_.empty(); }
  decltype(auto) back() { return all_.back(); }
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::vector<T> all_;
};

}  // namespace steep
