// Memory for tensors and working memory. Blocks of 64 KB and more lie on huge pages where the system has them: with
// pages of 4 KB the processor spends up to half of a convolution's time on finding where a page is, more in a virtual
// machine. Start reading at Block.
#pragma once

#include <cstddef>
#include <utility>

namespace steep::k {

// At least `bytes` bytes aligned to 64, not initialised. Throws std::bad_alloc. Given back with the same size.
void* take_memory(std::size_t bytes);
void give_memory(void* at, std::size_t bytes) noexcept;

// A block of that memory, and its owner.
class Block {
 public:
  Block() = default;
  explicit Block(std::size_t bytes) : at_(take_memory(bytes)), bytes_(bytes) {}
  ~Block() {
    if (at_) give_memory(at_, bytes_);
  }
  Block(Block&& o) noexcept : at_(std::exchange(o.at_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  Block& operator=(Block&& o) noexcept {
    std::swap(at_, o.at_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void* at() const { return at_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* at_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace steep::k
