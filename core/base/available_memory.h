#pragma once

#include <cstdint>
#include <filesystem>

namespace trireme {

/// Bytes of memory that this process could still take: what the kernel has available, or what a control group
/// above the process has left of its limit (versions 1 and 2), whichever is least. Pages of files count as
/// free, for the kernel gives them back. The largest number where nothing is said. `root`: where /proc and
/// /sys are. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
int64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace trireme
