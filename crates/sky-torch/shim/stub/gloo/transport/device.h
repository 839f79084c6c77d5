#pragma once

namespace gloo {
namespace transport {
// Passed on as they come, never looked into.
class Device;
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = 0;
};
}  // namespace transport
}  // namespace gloo
