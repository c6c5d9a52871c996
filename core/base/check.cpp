#include "core/base/check.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme::detail {

void assertion_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw InternalError(
      fmt::format("internal error at {}:{}: {} ({}); please report it", file, line, message, condition));
}

}  // namespace trireme::detail
