// Buffer<T>: owning, 64-byte aligned, uninitialised memory for tensors, caches and packed weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace florence2 {

namespace detail {
/// 64-byte aligned memory (2 MiB aligned and marked for huge pages from 4 MiB on). Throws std::bad_alloc.
void* allocate_aligned(std::size_t bytes);
void free_aligned(void* memory) noexcept;
struct AlignedDelete {
  void operator()(void* memory) const noexcept { free_aligned(memory); }
};
}  // namespace detail

/// Move-only block, empty once moved from, of `size()` elements of a trivial type. Contents start undefined: pages that
/// are never touched cost no memory. Throws std::bad_alloc, which the public API turns into an Error.
template <typename T>
class Buffer {
  static_assert(std::is_trivial_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(std::int64_t size)
      : data_(static_cast<T*>(detail::allocate_aligned(static_cast<std::size_t>(size) * sizeof(T)))), size_(size) {}
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  std::int64_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T& operator[](std::int64_t i) noexcept { return data_.get()[i]; }
  const T& operator[](std::int64_t i) const noexcept { return data_.get()[i]; }
  std::span<T> span() noexcept { return {data_.get(), static_cast<std::size_t>(size_)}; }
  std::span<const T> span() const noexcept { return {data_.get(), static_cast<std::size_t>(size_)}; }

  /// Grows to at least `size` elements; contents are lost when it does.
  void ensure(std::int64_t size) {
    if (size > size_) {
      *this = Buffer();  // free first: the old contents are not needed
      *this = Buffer(size);
    }
  }

 private:
  std::unique_ptr<T, detail::AlignedDelete> data_;
  std::int64_t size_ = 0;
};

}  // namespace florence2
