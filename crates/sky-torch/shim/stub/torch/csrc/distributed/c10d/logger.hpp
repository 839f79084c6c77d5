#pragma once
// The one struct of it that ProcessGroupGloo holds, laid out as libtorch 2.11.0 does: a `make_shared` of it may be
// compiled here and must then be the same as the library's.
#include <cstddef>
#include <cstdint>
#include <string>

namespace c10d {
struct ProcessGroupStatus {
  int64_t lastEnqueuedSeq{-1};
  int64_t lastStartedSeq{-1};
  int64_t lastCompletedSeq{-1};
  std::string lastEnqueuedWorkName;
  std::string lastStartedWorkName;
  std::string lastCompletedWorkName;
  size_t lastEnqueuedNumelIn;
  size_t lastEnqueuedNumelOut;
  size_t lastCompletedNumelIn;
  size_t lastCompletedNumelOut;
  size_t lastStartedNumelIn;
  size_t lastStartedNumelOut;
};
}  // namespace c10d
