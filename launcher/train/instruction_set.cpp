#include "launcher/train/instruction_set.h"

#include <algorithm>
#include <string>

#include "core/ops/cpu/cpu_info.h"

namespace trireme {

std::string agree_on_instruction_set(Communicator& world) {
  using ops::cpu::InstructionSet;
  const InstructionSet own = ops::cpu::supported_instruction_set();
  InstructionSet common = own;
  for (const std::string& number : world.gather_bytes(std::to_string(static_cast<int>(own))))
    common = std::min(common, static_cast<InstructionSet>(std::stoi(number)));
  if (common != own) ops::cpu::limit_instruction_set(common);
  return name_of(common);
}

}  // namespace trireme
