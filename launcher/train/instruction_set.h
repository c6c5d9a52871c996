#pragma once

#include <string>

#include "parallel/comm/communicator.h"

namespace trireme {

/// Limits every rank to the lowest instruction set among them, so that replicas compute the same bits on
/// mixed hosts, and names it. Collective; before the first operation.
std::string agree_on_instruction_set(Communicator& world);

}  // namespace trireme
