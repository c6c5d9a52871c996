#pragma once

#include <string>

#include "parallel/checkpoint/manifest.h"

namespace trireme::checkpoint {

/// Writes `<directory>/index.h5`: every tensor of the manifest whole, as a virtual dataset over the shards
/// beside it, with the small state as attributes of the root. For people and tools; nothing of ours reads it.
SavedFile write_index(const std::string& directory, const Manifest& manifest);

}  // namespace trireme::checkpoint
