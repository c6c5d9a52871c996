#pragma once

#include <string>

namespace trireme {

/// This machine's name, for messages and to see which ranks share a machine.
std::string host_name();

}  // namespace trireme
