#include "parallel/checkpoint/fault.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "core/base/error.h"

namespace trireme::checkpoint {

void fault_point(std::string_view phase, int rank) {
  const char* wanted = std::getenv("TRIREME_FAULT");
  if (wanted == nullptr) return;
  const std::string_view text(wanted);
  const std::string here = fmt::format("{}:{}:", phase, rank);
  if (!text.starts_with(here)) return;
  const std::string_view action = text.substr(here.size());
  if (action == "kill") std::raise(SIGKILL);
  if (action == "error")
    throw IoError(fmt::format("fault asked for by TRIREME_FAULT={}: Input/output error (errno 5)", text));
  throw ConfigError(fmt::format("TRIREME_FAULT={}: the action is 'kill' or 'error'", text));
}

}  // namespace trireme::checkpoint
