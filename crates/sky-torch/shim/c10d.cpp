// Key-value store and process groups of libtorch's c10d, behind a C interface.
//
// The classes are libtorch's own; gloo's headers do not come with it, and some of c10d's pull in half of ATen, so the
// folder `stub` stands first on the include path with what these classes need to be declared, and no more.
#define USE_C10D_GLOO 1
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <c10/util/Flags.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "guard.h"

C10_DECLARE_int(caffe2_log_level);

using c10::intrusive_ptr;
using sky::guarded;
using ms = std::chrono::milliseconds;

namespace {
// c10d prints every failure with its C++ stack; ours go to the caller, who says them in a line. FATAL alone is left, unless
// libtorch's own variable asks for more.
void quiet() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = 3;
}

struct Store {
  intrusive_ptr<c10d::Store> inner;
};

struct Group {
  intrusive_ptr<c10d::Backend> inner;
};

// An operation under way, with the tensors it reads and writes.
struct Work {
  intrusive_ptr<c10d::Work> inner;
  std::vector<at::Tensor> tensors;
};

// c10d's flight recorder adds a group to a map of the process without a lock: two groups, each on a thread of its own, must
// not begin an operation at the same time. Beginning one only puts it into a queue.
std::mutex beginning;

void start(Work** result, intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> tensors) {
  *result = new Work{std::move(work), std::move(tensors)};
}
}  // namespace

extern "C" {

// Connects to the store at host:port, which this process serves when told to. Every key gets the prefix.
int sky_store_connect(const char* host, uint16_t port, int serve, const char* prefix, int64_t timeout_ms,
                      Store** result) {
  return guarded([&] {
    quiet();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve != 0;
    options.waitWorkers = false;
    options.timeout = ms(timeout_ms);
    auto store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
    *result = new Store{c10::make_intrusive<c10d::PrefixStore>(prefix, std::move(store))};
  });
}

int sky_store_set(Store* store, const char* key, const uint8_t* data, size_t size) {
  return guarded([&] { store->inner->set(key, std::vector<uint8_t>(data, data + size)); });
}

// found = whether the key is there; then at most `capacity` bytes of its value are copied and `size` is all of them.
int sky_store_get(Store* store, const char* key, uint8_t* data, size_t capacity, size_t* size, int* found) {
  return guarded([&] {
    *found = store->inner->check({key}) ? 1 : 0;
    if (!*found) return;
    auto value = store->inner->get(key);
    *size = value.size();
    std::memcpy(data, value.data(), std::min(capacity, value.size()));
  });
}

void sky_store_free(Store* store) { delete store; }

// A group over gloo. It listens at `interface` when there is one, else at the address of `host`, else at this machine's own.
int sky_gloo_new(Store* store, int rank, int world, const char* interface, const char* host, int64_t timeout_ms,
                 Group** result) {
  return guarded([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(ms(timeout_ms));
    options->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                               : host    ? c10d::ProcessGroupGloo::createDeviceForHostname(host)
                                         : c10d::ProcessGroupGloo::createDefaultDevice());
    *result = new Group{c10::make_intrusive<c10d::ProcessGroupGloo>(store->inner, rank, world, std::move(options))};
  });
}

void sky_group_free(Group* group) { delete group; }

int sky_all_gather_into(Group* group, at::Tensor* full, at::Tensor* shard, Work** result) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(beginning);
    c10::NoGradGuard no_grad;
    start(result, group->inner->_allgather_base(*full, *shard), {*full, *shard});
  });
}

// Gives the i-th of `sent`'s equal parts to rank i and lays what came from rank i at that place of `received`.
int sky_all_to_all(Group* group, at::Tensor* received, at::Tensor* sent, Work** result) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(beginning);
    c10::NoGradGuard no_grad;
    std::vector<int64_t> equal;
    start(result, group->inner->alltoall_base(*received, *sent, equal, equal), {*received, *sent});
  });
}

int sky_all_reduce(Group* group, at::Tensor* tensor, Work** result) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(beginning);
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{*tensor};
    start(result, group->inner->allreduce(tensors), tensors);
  });
}

int sky_broadcast(Group* group, at::Tensor* tensor, int from, Work** result) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(beginning);
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = from;
    start(result, group->inner->broadcast(tensors, options), tensors);
  });
}

int sky_barrier(Group* group, Work** result) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(beginning);
    start(result, group->inner->barrier(), {});
  });
}

// done = whether it ended within the time; an error when it failed.
int sky_work_wait(Work* work, int64_t timeout_ms, int* done) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    *done = 0;
    try {
      if (!work->inner->wait(ms(timeout_ms))) throw std::runtime_error("was aborted");
    } catch (...) {
      // c10d reports time that has run out and an operation that failed in the same way; and it may have ended well since.
      if (!work->inner->isCompleted()) return;
      if (auto failed = work->inner->exception()) std::rethrow_exception(failed);
    }
    *done = 1;
  });
}

void sky_work_free(Work* work) { delete work; }
}
