#pragma once

#include <cstdint>
#include <string>

namespace trireme::checkpoint {

/// Removes what dead saves and removals left (.tmp-*). Under the directory's lock only.
void remove_leftovers(const std::string& directory);

/// Gives every step after `step` a name that restore does not look at, abandoned-step-<step>-<run id>: they
/// belong to a history that this run does not continue. Nothing is deleted; a warning names each.
void set_aside_later_steps(const std::string& directory, int64_t step, const std::string& run_id);

/// Removes the oldest steps until `keep_last` are left (0: all stay). A step disappears by a rename first, so
/// that none is ever seen half-removed. What cannot be removed is told as a warning.
void remove_old_steps(const std::string& directory, int64_t keep_last);

}  // namespace trireme::checkpoint
