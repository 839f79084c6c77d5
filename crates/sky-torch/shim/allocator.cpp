// Where libtorch's tensors lie in host memory: large ones in mappings of their own, so that what comes and goes leaves no holes
// between what stays, on huge pages where the system has them. Mappings that were freed are kept for the next tensor of about that
// size; all together are never more than tensors have needed at once, and a little.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <cstddef>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

// Tensors from this size on are large. Smaller ones are libtorch's own allocator's, as all are without this.
constexpr size_t LARGE = size_t(1) << 20;
constexpr size_t PAGE = 4096;

// What all mappings may be beyond the most that tensors have needed at once.
constexpr size_t SLACK = size_t(32) << 20;

struct Mapping {
  void* at;
  size_t bytes;
};

class Mappings {
 public:
  void* take(size_t bytes) {
    bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    std::lock_guard<std::mutex> guard(lock_);
    Mapping found = again(bytes);
    if (!found.at) {
      const size_t needed = used_bytes_ + bytes;
      shrink(std::max(most_, needed) + SLACK - needed);
      found = fresh(bytes);
      // Libtorch's own allocator says what cannot be had, in its own words.
      if (!found.at) return c10::alloc_cpu(bytes);
    }
    used_.emplace(found.at, found.bytes);
    used_bytes_ += found.bytes;
    most_ = std::max(most_, used_bytes_);
    return found.at;
  }

  // Whether it was one of these.
  bool release(void* at) {
    std::lock_guard<std::mutex> guard(lock_);
    const auto found = used_.find(at);
    if (found == used_.end()) return false;
    kept_.push_back({at, found->second});
    kept_bytes_ += found->second;
    used_bytes_ -= found->second;
    used_.erase(found);
    return true;
  }

  void let_go() {
    std::lock_guard<std::mutex> guard(lock_);
    shrink(0);
    most_ = used_bytes_;
  }

  size_t kept() {
    std::lock_guard<std::mutex> guard(lock_);
    return kept_bytes_;
  }

 private:
  // The smallest of those kept that is large enough and not much larger; of several the one freed last.
  Mapping again(size_t bytes) {
    size_t best = kept_.size();
    for (size_t i = 0; i < kept_.size(); ++i)
      if (kept_[i].bytes >= bytes && kept_[i].bytes <= bytes + bytes / 8 && (best == kept_.size() || kept_[i].bytes <= kept_[best].bytes)) best = i;
    if (best == kept_.size()) return {nullptr, 0};
    const Mapping found = kept_[best];
    kept_.erase(kept_.begin() + best);
    kept_bytes_ -= found.bytes;
    return found;
  }

  Mapping fresh(size_t bytes) {
    for (;;) {
      void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at != MAP_FAILED) {
        // Where the system has no huge pages to give, small ones do.
        madvise(at, bytes, MADV_HUGEPAGE);
        return {at, bytes};
      }
      if (kept_.empty()) return {nullptr, 0};
      shrink(0);
    }
  }

  // Lets go of those freed longest ago, until so much is kept.
  void shrink(size_t limit) {
    size_t gone = 0;
    while (kept_bytes_ > limit && gone < kept_.size()) {
      munmap(kept_[gone].at, kept_[gone].bytes);
      kept_bytes_ -= kept_[gone++].bytes;
    }
    kept_.erase(kept_.begin(), kept_.begin() + gone);
  }

  std::mutex lock_;
  std::unordered_map<void*, size_t> used_;
  std::vector<Mapping> kept_;
  size_t used_bytes_ = 0, kept_bytes_ = 0, most_ = 0;
};

// Never destroyed: tensors may go after everything else.
Mappings& mappings() {
  static Mappings* all = new Mappings;
  return *all;
}

void release(void* at) {
  // Only whole pages are mapped.
  if (at && (reinterpret_cast<uintptr_t>(at) % PAGE != 0 || !mappings().release(at))) c10::free_cpu(at);
}

struct Apart final : at::Allocator {
  at::DataPtr allocate(size_t bytes) override {
    void* at = bytes < LARGE ? c10::alloc_cpu(bytes) : mappings().take(bytes);
    return {at, at, &release, at::Device(at::DeviceType::CPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

}  // namespace
#endif

extern "C" {

// From now on; tensors that are there stay where they are.
void sky_install_allocator() {
#ifdef __linux__
  static const bool once = [] {
    c10::SetCPUAllocator(new Apart, 1);
    return true;
  }();
  (void)once;
#endif
}

// Also of small tensors' and all other memory, what is free.
void sky_empty_cache() {
#ifdef __linux__
  mappings().let_go();
#endif
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

size_t sky_cached_bytes() {
#ifdef __linux__
  return mappings().kept();
#else
  return 0;
#endif
}
}
