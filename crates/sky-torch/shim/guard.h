// What every function of the shim does with C++ exceptions: none leaves, the text is kept for sky_last_error.
#pragma once
#include <exception>
#include <string>

namespace sky {
inline thread_local std::string last_error;

template <class F>
int guarded(F body) {
  try {
    body();
    return 1;
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown C++ exception";
  }
  return 0;
}
}  // namespace sky
