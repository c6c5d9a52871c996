#pragma once

#include <cstdint>
#include <string>

#include "core/tensor/context.h"

namespace trireme {

// What `trireme doctor` finds out about this host.

int64_t memory_bytes(const char* kind);  ///< a line of /proc/meminfo, such as "MemAvailable"; 0: unknown

struct SpaceOf {
  int64_t total = 0;
  int64_t free = 0;  ///< for this user
};
SpaceOf space_of(const std::string& folder);  ///< zeros where the folder is missing

/// a[i] = b[i] + 3 c[i] over arrays beyond every cache, in bytes moved a second (McCalpin's triad).
double memory_bandwidth(Context& context);

/// Bytes a second of writing 64 MiB into a new file of `folder` and syncing it; the file is removed. Throws
/// IoError where it cannot be written.
double disk_write_speed(const std::string& folder);

}  // namespace trireme
