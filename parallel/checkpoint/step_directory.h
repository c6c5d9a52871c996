#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// "step-00001234".
std::string step_directory_name(int64_t step);
/// The step of such a name, or nothing.
std::optional<int64_t> parse_step_directory_name(const std::string& name);
/// Committed steps of a `checkpoints` directory, ascending; sound or not.
std::vector<int64_t> committed_steps(const std::string& directory);

}  // namespace trireme::checkpoint
