#pragma once

#include <string>

namespace trireme::detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line,
                                   const std::string& message);
}

/// For our own bugs only; what a user can cause is a typed Error.
#define TRIREME_ASSERT(condition, message)                                                          \
  do {                                                                                              \
    if (!(condition)) ::trireme::detail::assertion_failed(#condition, __FILE__, __LINE__, message); \
  } while (false)
