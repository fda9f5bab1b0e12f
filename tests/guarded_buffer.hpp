// Memory whose end lies against a page that faults: one element read or written too far ends the test at once.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include "core/view.hpp"

namespace florence2::test {

/// `size` elements that end `gap` elements before a page without access (gap 0: flush against it). All bytes around
/// them, back to another such page, hold a pattern; intact() tells whether it is still there.
template <typename T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::int64_t size, std::int64_t gap = 0) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t used = static_cast<std::size_t>(size + gap) * sizeof(T);
    inside_ = (used + page) / page * page;  // at least one byte before the elements
    map_bytes_ = inside_ + 2 * page;
    void* map = mmap(nullptr, map_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<std::byte*>(map);
    begin_ = map_ + page;
    if (mprotect(begin_, inside_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    std::memset(begin_, kPattern, inside_);
    data_ = begin_ + inside_ - used;
  }
  ~GuardedBuffer() { munmap(map_, map_bytes_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return reinterpret_cast<T*>(data_); }
  std::int64_t size() const { return size_; }
  T& operator[](std::int64_t i) { return data()[i]; }

  bool intact() const {
    const std::byte* const end = data_ + static_cast<std::size_t>(size_) * sizeof(T);
    return holds_pattern(begin_, data_) && holds_pattern(end, begin_ + inside_);
  }

 private:
  static constexpr int kPattern = 0xA5;

  static bool holds_pattern(const std::byte* first, const std::byte* last) {
    for (; first != last; ++first) {
      if (*first != std::byte{kPattern}) return false;
    }
    return true;
  }

  std::int64_t size_;
  std::size_t inside_ = 0, map_bytes_ = 0;
  std::byte* map_ = nullptr;    // the whole mapping
  std::byte* begin_ = nullptr;  // its accessible part
  std::byte* data_ = nullptr;
};

/// A matrix in guarded memory. All of it starts as NaN, the columns between `cols` and `stride` included: a kernel that
/// reads what it should not spoils its result, and one that writes there fails intact().
class GuardedMatrix {
 public:
  GuardedMatrix(std::int64_t rows, std::int64_t cols, std::int64_t stride, std::int64_t gap = 0)
      : buffer_((rows - 1) * stride + cols, gap), view_(buffer_.data(), rows, cols, stride) {
    for (std::int64_t i = 0; i < buffer_.size(); ++i) buffer_[i] = std::numeric_limits<float>::quiet_NaN();
  }
  GuardedMatrix(std::int64_t rows, std::int64_t cols) : GuardedMatrix(rows, cols, cols) {}

  View<float> view() const { return view_; }
  operator View<float>() const { return view_; }
  operator View<const float>() const { return view_; }

  /// Element (r, c) = next(), row by row.
  template <typename Next>
  GuardedMatrix& fill(const Next& next) {
    for (std::int64_t r = 0; r < view_.rows; ++r) {
      for (std::int64_t c = 0; c < view_.cols; ++c) view_.row(r)[c] = next();
    }
    return *this;
  }

  bool intact() const {
    for (std::int64_t r = 0; r + 1 < view_.rows; ++r) {
      for (std::int64_t c = view_.cols; c < view_.stride; ++c) {
        if (view_.row(r)[c] == view_.row(r)[c]) return false;
      }
    }
    return buffer_.intact();
  }

 private:
  GuardedBuffer<float> buffer_;
  View<float> view_;
};

}  // namespace florence2::test
