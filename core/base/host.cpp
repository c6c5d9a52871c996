#include "core/base/host.h"

#include <unistd.h>

#include <array>

namespace trireme {

std::string host_name() {
  std::array<char, 256> name{};  // the last zero stays where a name is cut
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

}  // namespace trireme
